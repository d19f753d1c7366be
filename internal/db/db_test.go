package db_test

import (
	"testing"

	"packagecloud/internal/db"
	"packagecloud/internal/db/dbtest"
)

func TestMigrateTwice(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if err := d.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if pending, err := d.Pending(t.Context()); err != nil || pending {
			t.Errorf("Pending() = %v, %v after Migrate", pending, err)
		}
	})
}
