package db

import (
	"context"
	"database/sql"
	"fmt"

	"packagecloud/internal/repo"
)

// FirstAddedRelease is the lowest id of a release that an administrator adds.
// Those built in are below.
const FirstAddedRelease = 100001

// AddedRelease is a release that an administrator added.
type AddedRelease struct {
	OS, OSDisplay string
	Format        string
	repo.Release
}

// AddedReleases lists the releases that were added, oldest first.
func (r Reader) AddedReleases(ctx context.Context) ([]AddedRelease, error) {
	scan := func(s scanner) (v AddedRelease, err error) {
		err = s.Scan(&v.ID, &v.OS, &v.OSDisplay, &v.Format, &v.IndexName, &v.DisplayName, &v.Number)
		return v, err
	}
	return collect(ctx, r.q, "distributions", scan, `SELECT id, os, os_display, format, version, display_name, number FROM distro_releases ORDER BY id`)
}

// AddRelease records a release and sets its ID. One that is there already is
// repo.Taken.
func (t *Tx) AddRelease(ctx context.Context, v *AddedRelease) error {
	err := t.q.QueryRowContext(ctx, `
		INSERT INTO distro_releases (id, os, os_display, format, version, display_name, number)
		SELECT coalesce(max(id) + 1, $1), $2, $3, $4, $5, $6, $7 FROM distro_releases WHERE TRUE
		ON CONFLICT DO NOTHING RETURNING id`,
		FirstAddedRelease, v.OS, v.OSDisplay, v.Format, v.IndexName, v.DisplayName, v.Number).Scan(&v.ID)
	if err == sql.ErrNoRows {
		return repo.Taken("version")
	}
	if err != nil {
		return fmt.Errorf("add distribution %s/%s: %w", v.OS, v.IndexName, err)
	}
	return nil
}
