package s3blob

import (
	"testing"

	"packagecloud/internal/blob"
	"packagecloud/internal/blob/blobtest"
	"packagecloud/internal/blob/s3blob/s3test"
)

// config is that of an empty bucket.
func config(t testing.TB) (Config, s3test.Bucket) {
	t.Helper()
	b := s3test.New(t)
	return Config{
		Bucket: b.Name, Region: b.Region, Endpoint: b.Endpoint, PathStyle: true, AccessKey: b.AccessKey, SecretKey: b.SecretKey,
		SignatureVersion: 4, Staging: t.TempDir(),
	}, b
}

func openStore(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	s.limits.maxCopy, s.limits.maxObjectCopy = 10<<20, 10<<20 // see scripts/with-s3
	return s
}

func TestContract(t *testing.T) {
	for name, change := range map[string]func(*Store){
		"as it is":                   func(*Store) {},
		"with uploads of many parts": func(s *Store) { s.limits.single, s.limits.part = 5<<20, 5<<20 },
		"without conditions and copies of parts": func(s *Store) {
			s.lacks.conditions.Store(true)
			s.lacks.partCopies.Store(true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			blobtest.Run(t, func(t *testing.T) blob.Store {
				c, _ := config(t)
				s := openStore(t, c)
				change(s)
				return s
			})
		})
	}
}
