package db

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"packagecloud/internal/format"
	"packagecloud/internal/repo"
)

// packageColumns come with the package file alone; Files loads the others.
const packageColumns = `
	p.id, p.repository_id, p.scope_id, p.type, p.name, p.version, p.release, p.epoch, p.architecture, p.namespace,
	p.summary, p.description, p.licenses, p.dependencies, p.attributes, p.list, u.name, p.created_at, p.indexed, coalesce(p.withheld, ''),
	s.distro_id, s.os, s.version, s.format,
	f.name, f.path, b.size, b.md5, b.sha1, f.sha256, b.sha512`

const packageTables = ` FROM packages p
	JOIN scopes s ON s.id = p.scope_id JOIN users u ON u.id = p.uploader_id
	JOIN package_files f ON f.package_id = p.id AND f.position = 0 JOIN blobs b ON b.sha256 = f.sha256 AND b.name = f.name`

func scanPackage(s scanner) (p repo.Package, err error) {
	var epoch sql.NullInt64
	var licenses, dependencies, attributes sql.NullString
	var created int64
	var f repo.File
	err = s.Scan(&p.ID, &p.RepositoryID, &p.ScopeID, &p.Type, &p.Name, &p.Version, &p.Release, &epoch, &p.Architecture, &p.Namespace,
		&p.Summary, &p.Description, &licenses, &dependencies, &attributes, &p.List, &p.Uploader, &created, &p.Indexed, &p.Withheld,
		&p.Distro.ID, &p.Distro.OS, &p.Distro.Version, &p.Distro.Format,
		&f.Name, &f.Path, &f.Size, &f.MD5, &f.SHA1, &f.SHA256, &f.SHA512)
	if err != nil {
		return p, err
	}
	if epoch.Valid {
		p.Epoch = &epoch.Int64
	}
	p.CreatedAt = fromMillis(created)
	p.Files = []repo.File{f}
	if err := fromJSON(licenses, &p.Licenses); err != nil {
		return p, err
	}
	if err := fromJSON(attributes, &p.Attributes); err != nil {
		return p, err
	}
	return p, fromJSON(dependencies, &p.Dependencies)
}

func fromJSON(text sql.NullString, v any) error {
	if !text.Valid {
		return nil
	}
	return json.Unmarshal([]byte(text.String), v)
}

// toJSON is NULL for an empty list.
func toJSON[T any](list []T) (sql.NullString, error) {
	if len(list) == 0 {
		return sql.NullString{}, nil
	}
	text, err := json.Marshal(list)
	return sql.NullString{String: string(text), Valid: true}, err
}

// Selection says which packages of a repository are meant. Empty fields
// select everything.
type Selection struct {
	RepositoryID int64
	Type         repo.Type
	OS, Version  string // of the distribution
	Name         string
	Architecture string
	// PackageVersion and Release select one version of a package.
	PackageVersion, Release string
	// Contains is a part of the file name, whatever its case.
	Contains string
	// SHA256 is that of the package file.
	SHA256 string
}

// where is the condition for a Selection and its arguments, numbered from 1.
func (s Selection) where() (string, []any) {
	conditions := []string{"p.deleted_at IS NULL", "p.repository_id = $1"}
	args := []any{s.RepositoryID}
	add := func(condition, value string) {
		if value != "" {
			args = append(args, value)
			conditions = append(conditions, fmt.Sprintf(condition, len(args)))
		}
	}
	add("p.type = $%d", string(s.Type))
	if s.OS != "" && s.Name == "" {
		// Lets SQLite begin with the scopes. The index of names is better still.
		conditions = append(conditions, "s.repository_id = $1")
	}
	add("s.os = $%d", s.OS)
	add("s.version = $%d", s.Version)
	add("p.name = $%d", s.Name)
	add("p.architecture = $%d", s.Architecture)
	add("p.version = $%d", s.PackageVersion)
	add("p.release = $%d", s.Release)
	add("p.id IN (SELECT f.package_id FROM package_files f WHERE f.sha256 = $%d AND f.position = 0)", s.SHA256)
	if s.Contains != "" {
		add("lower(p.filename) LIKE $%d ESCAPE '!'", containing(s.Contains))
	}
	return " WHERE " + strings.Join(conditions, " AND "), args
}

// Packages lists selected packages in the order in which they were pushed, and
// tells how many there are in all.
func (r Reader) Packages(ctx context.Context, sel Selection, page Page) ([]repo.Package, int64, error) {
	query, args := sel.count()
	var total int64
	err := r.q.QueryRowContext(ctx, query, args...).Scan(&total)
	if err != nil {
		return nil, 0, fmt.Errorf("count packages: %w", err)
	}
	query, args = sel.page(page)
	all, err := collect(ctx, r.q, "packages", scanPackage, query, args...)
	return all, total, err
}

// count is the query for the number of what is selected. It looks at scopes only
// if it must: once for every package.
func (s Selection) count() (string, []any) {
	where, args := s.where()
	tables := ` FROM packages p`
	if s.OS != "" || s.Version != "" {
		tables += ` JOIN scopes s ON s.id = p.scope_id`
	}
	return `SELECT count(*)` + tables + where, args
}

// page is the query for a page of what is selected.
func (s Selection) page(p Page) (string, []any) {
	where, args := s.where()
	limit := fmt.Sprintf(" ORDER BY p.id LIMIT $%d OFFSET $%d", len(args)+1, len(args)+2)
	return `SELECT ` + packageColumns + packageTables + where + limit, append(args, p.Size, p.offset())
}

// Package finds the newest of the selected packages, with all its files.
func (r Reader) Package(ctx context.Context, sel Selection) (repo.Package, error) {
	where, args := sel.where()
	p, err := scanPackage(r.q.QueryRowContext(ctx, `SELECT `+packageColumns+packageTables+where+` ORDER BY p.id DESC LIMIT 1`, args...))
	if err := found(err, "package"); err != nil {
		return p, err
	}
	p.Files, err = r.Files(ctx, p.ID)
	return p, err
}

// PackageByID finds a package, deleted or not, with all its files.
func (r Reader) PackageByID(ctx context.Context, id int64) (repo.Package, error) {
	p, err := scanPackage(r.q.QueryRowContext(ctx, `SELECT `+packageColumns+packageTables+` WHERE p.id = $1`, id))
	if err := found(err, "package"); err != nil {
		return p, err
	}
	p.Files, err = r.Files(ctx, p.ID)
	return p, err
}

// byFilename leads by the scope, which is small, to the index of file names.
const byFilename = `SELECT ` + packageColumns + packageTables + `
	WHERE p.deleted_at IS NULL AND s.repository_id = $1 AND s.os = $2 AND s.version = $3 AND p.namespace = $4 AND p.filename = $5`

// PackageByFilename finds the package of a distribution version that has a
// file name within a namespace, with all its files.
func (r Reader) PackageByFilename(ctx context.Context, repositoryID int64, os, version, namespace, filename string) (repo.Package, error) {
	p, err := scanPackage(r.q.QueryRowContext(ctx, byFilename, repositoryID, os, version, namespace, filename))
	if err := found(err, "package "+filename); err != nil {
		return p, err
	}
	p.Files, err = r.Files(ctx, p.ID)
	return p, err
}

const fileColumns = `f.name, f.path, b.size, b.md5, b.sha1, f.sha256, b.sha512`

func scanFile(s scanner) (f repo.File, err error) {
	err = s.Scan(&f.Name, &f.Path, &f.Size, &f.MD5, &f.SHA1, &f.SHA256, &f.SHA512)
	return f, err
}

// Files are the files of a package, the package file first.
func (r Reader) Files(ctx context.Context, packageID int64) ([]repo.File, error) {
	return collect(ctx, r.q, "package files", scanFile, `SELECT `+fileColumns+`
		FROM package_files f JOIN blobs b ON b.sha256 = f.sha256 AND b.name = f.name WHERE f.package_id = $1 ORDER BY f.position`, packageID)
}

// StoredFile is a package file and where its bytes are.
type StoredFile struct {
	repo.File
	Object   string // storage key
	Borrowed bool   // see Blob
	Created  time.Time
}

// StoredFile finds the file of a repository that is fetched at a path. Files
// of deleted packages are found until they are collected.
func (r Reader) StoredFile(ctx context.Context, repositoryID int64, path string) (StoredFile, error) {
	var f StoredFile
	var created int64
	err := r.q.QueryRowContext(ctx, `SELECT `+fileColumns+`, b.object, b.borrowed, b.created_at
		FROM package_files f JOIN blobs b ON b.sha256 = f.sha256 AND b.name = f.name WHERE f.repository_id = $1 AND f.path = $2 LIMIT 1`, repositoryID, path).
		Scan(&f.Name, &f.Path, &f.Size, &f.MD5, &f.SHA1, &f.SHA256, &f.SHA512, &f.Object, &f.Borrowed, &created)
	f.Created = fromMillis(created)
	return f, found(err, "file "+path)
}

// Versions is a package name with the number of its versions.
type Versions struct {
	Name         string
	Type         repo.Type
	OS, Version  string
	Architecture string
	Count        int64
}

// PackageVersions lists the names among the selected packages, apart by
// distribution version and architecture, and tells how many there are in all.
func (r Reader) PackageVersions(ctx context.Context, sel Selection, page Page) ([]Versions, int64, error) {
	var total int64
	scan := func(s scanner) (v Versions, err error) {
		err = s.Scan(&v.Name, &v.Type, &v.OS, &v.Version, &v.Architecture, &v.Count, &total)
		return v, err
	}
	query, args := r.namesQuery(sel, page)
	all, err := collect(ctx, r.q, "package names", scan, query, args...)
	if err == nil && len(all) == 0 && page.Number > 1 { // beyond the end, no row tells the total
		_, total, err = r.PackageVersions(ctx, sel, Page{Number: 1, Size: 1})
	}
	return all, total, err
}

// namesQuery is the query for a page of the names among what is selected.
func (r Reader) namesQuery(sel Selection, p Page) (string, []any) {
	where, args := sel.where()
	index := ""
	if !r.postgres {
		// It has all columns. SQLite would take another one and look at the packages.
		index = " INDEXED BY packages_names"
	}
	const columns = `p.name, p.type, s.os, s.version, p.architecture`
	return fmt.Sprintf(`SELECT `+columns+`, count(*), count(*) OVER () FROM packages p%s JOIN scopes s ON s.id = p.scope_id`+where+
		` GROUP BY `+columns+` ORDER BY `+columns+` LIMIT $%d OFFSET $%d`, index, len(args)+1, len(args)+2), append(args, p.Size, p.offset())
}

// InsertPackage records a package and sets its ID. A file name that its scope
// has already is repo.Taken.
func (t *Tx) InsertPackage(ctx context.Context, p *repo.Package, uploaderID int64) error {
	licenses, err := toJSON(p.Licenses)
	if err != nil {
		return fmt.Errorf("encode licenses of %s: %w", p.Filename(), err)
	}
	dependencies, err := toJSON(p.Dependencies)
	if err != nil {
		return fmt.Errorf("encode dependencies of %s: %w", p.Filename(), err)
	}
	attributes, err := attributesJSON(p.Attributes)
	if err != nil {
		return err
	}
	err = t.q.QueryRowContext(ctx, `
		INSERT INTO packages (repository_id, scope_id, type, name, version, release, epoch, architecture, namespace, filename,
			summary, description, licenses, dependencies, attributes, list, uploader_id, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
		ON CONFLICT DO NOTHING RETURNING id`,
		p.RepositoryID, p.ScopeID, p.Type, p.Name, p.Version, p.Release, p.Epoch, p.Architecture, p.Namespace, p.Filename(),
		p.Summary, p.Description, licenses, dependencies, attributes, p.List, uploaderID, millis(p.CreatedAt)).Scan(&p.ID)
	if err == sql.ErrNoRows {
		return repo.Taken("filename")
	}
	if err != nil {
		return fmt.Errorf("record package %s: %w", p.Filename(), err)
	}
	return t.insertFiles(ctx, p)
}

func (t *Tx) insertFiles(ctx context.Context, p *repo.Package) error {
	for i, f := range p.Files {
		_, err := t.q.ExecContext(ctx, `INSERT INTO package_files (package_id, position, repository_id, name, path, sha256) VALUES ($1, $2, $3, $4, $5, $6)`,
			p.ID, i, p.RepositoryID, f.Name, f.Path, f.SHA256)
		if err != nil {
			return fmt.Errorf("record file %s: %w", f.Name, err)
		}
	}
	return nil
}

// InsertEntry keeps the text of a package for the documents of one kind.
func (t *Tx) InsertEntry(ctx context.Context, packageID int64, kind string, text []byte) error {
	_, err := t.q.ExecContext(ctx, `INSERT INTO entries (package_id, kind, text) VALUES ($1, $2, $3)`, packageID, kind, text)
	if err != nil {
		return fmt.Errorf("record the %s entry of package %d: %w", kind, packageID, err)
	}
	return nil
}

// Entry is the text of a package for the documents of one kind.
func (r Reader) Entry(ctx context.Context, packageID int64, kind string) ([]byte, error) {
	var text []byte
	err := r.q.QueryRowContext(ctx, `SELECT text FROM entries WHERE package_id = $1 AND kind = $2`, packageID, kind).Scan(&text)
	return text, found(err, fmt.Sprintf("%s entry of package %d", kind, packageID))
}

// PackageEntries are all entries of a package.
func (r Reader) PackageEntries(ctx context.Context, packageID int64) ([]format.Entry, error) {
	scan := func(s scanner) (e format.Entry, err error) {
		err = s.Scan(&e.Kind, &e.Text)
		return e, err
	}
	return collect(ctx, r.q, "entries", scan, `SELECT kind, text FROM entries WHERE package_id = $1 ORDER BY kind`, packageID)
}

// AmendPackage gives a package other attributes and entries. It is
// repo.ErrNotFound if the package was deleted meanwhile.
func (t *Tx) AmendPackage(ctx context.Context, packageID int64, attributes map[string]string, entries []format.Entry) error {
	text, err := attributesJSON(attributes)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("package %d", packageID)
	err = t.q.QueryRowContext(ctx, `UPDATE packages SET attributes = $2 WHERE id = $1 AND deleted_at IS NULL RETURNING id`, packageID, text).Scan(&packageID)
	if err := found(err, what); err != nil {
		return fmt.Errorf("amend %s: %w", what, err)
	}
	if _, err := t.q.ExecContext(ctx, `DELETE FROM entries WHERE package_id = $1`, packageID); err != nil {
		return fmt.Errorf("amend package %d: %w", packageID, err)
	}
	for _, e := range entries {
		if err := t.InsertEntry(ctx, packageID, e.Kind, e.Text); err != nil {
			return err
		}
	}
	return nil
}

// attributesJSON is NULL for no attributes.
func attributesJSON(attributes map[string]string) (sql.NullString, error) {
	if len(attributes) == 0 {
		return sql.NullString{}, nil
	}
	text, err := json.Marshal(attributes)
	if err != nil {
		return sql.NullString{}, fmt.Errorf("encode attributes: %w", err)
	}
	return sql.NullString{String: string(text), Valid: true}, nil
}

// ClaimPath makes a path of a repository stand for the bytes with a digest. It
// returns false if the path stands for others, now or at any time before.
func (t *Tx) ClaimPath(ctx context.Context, repositoryID int64, path, sha256 string) (bool, error) {
	var have string
	err := t.q.QueryRowContext(ctx, `
		INSERT INTO paths (repository_id, path, sha256) VALUES ($1, $2, $3)
		ON CONFLICT (repository_id, path) DO UPDATE SET sha256 = paths.sha256 RETURNING sha256`, repositoryID, path, sha256).Scan(&have)
	if err != nil {
		return false, fmt.Errorf("claim path %s: %w", path, err)
	}
	return have == sha256, nil
}

// DeletePackage removes a package for everybody but those whose index still
// lists it. It reports whether there was anything to delete.
func (t *Tx) DeletePackage(ctx context.Context, id int64, now time.Time) (bool, error) {
	res, err := t.q.ExecContext(ctx, `UPDATE packages SET deleted_at = $2 WHERE id = $1 AND deleted_at IS NULL`, id, millis(now))
	if err != nil {
		return false, fmt.Errorf("delete package %d: %w", id, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("delete package %d: %w", id, err)
	}
	return n == 1, nil
}
