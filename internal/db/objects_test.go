package db_test

import (
	"errors"
	"testing"

	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
	"packagecloud/internal/repo"
)

// TestObjectsUnknown: objects without rows are told apart, on both engines. What
// is known of others is tested by the commands that use it.
func TestObjectsUnknown(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, key := range []string{"packages/x/y", "indexes/x/y", ""} {
			if name, err := d.StoredName(t.Context(), key); name != "" || err != nil {
				t.Errorf("the name of %q is %q, %v", key, name, err)
			}
			if _, err := d.FileByObject(t.Context(), key); !errors.Is(err, repo.ErrNotFound) {
				t.Errorf("the file of %q: %v", key, err)
			}
		}
	})
}
