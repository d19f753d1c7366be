-- Times are Unix milliseconds. Digests are lower-case hexadecimal.
-- The tables say the same as ../postgres; the queries are shared.

-- +goose Up
CREATE TABLE users (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    email         TEXT    NOT NULL UNIQUE,
    password_hash TEXT    NOT NULL DEFAULT '', -- bcrypt; '' refuses every password
    token_hash    TEXT    NOT NULL UNIQUE,     -- SHA-256 of the API token
    token_sealed  BLOB    NOT NULL,
    created_at    BIGINT  NOT NULL
);

CREATE TABLE repositories (
    id         INTEGER PRIMARY KEY,
    owner_id   BIGINT  NOT NULL REFERENCES users (id),
    name       TEXT    NOT NULL,
    private    BOOLEAN NOT NULL,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL,
    UNIQUE (owner_id, name)
);

CREATE TABLE collaborations (
    user_id       BIGINT NOT NULL REFERENCES users (id),
    repository_id BIGINT NOT NULL REFERENCES repositories (id),
    PRIMARY KEY (user_id, repository_id)
);

CREATE TABLE master_tokens (
    id            INTEGER PRIMARY KEY,
    repository_id BIGINT  NOT NULL REFERENCES repositories (id),
    name          TEXT    NOT NULL,
    token_hash    TEXT    NOT NULL UNIQUE,
    token_sealed  BLOB    NOT NULL,
    created_at    BIGINT  NOT NULL,
    updated_at    BIGINT  NOT NULL,
    UNIQUE (repository_id, name)
);

CREATE TABLE read_tokens (
    id              INTEGER PRIMARY KEY,
    master_token_id BIGINT  NOT NULL REFERENCES master_tokens (id) ON DELETE CASCADE,
    name            TEXT    NOT NULL,
    token_hash      TEXT    NOT NULL UNIQUE,
    token_sealed    BLOB    NOT NULL,
    created_at      BIGINT  NOT NULL,
    UNIQUE (master_token_id, name)
);

-- Signing keys of repositories, and public keys of package signers.
CREATE TABLE keys (
    id            INTEGER PRIMARY KEY,
    repository_id BIGINT  NOT NULL REFERENCES repositories (id),
    type          TEXT    NOT NULL, -- 'repo' or 'package'
    name          TEXT    NOT NULL,
    fingerprint   TEXT    NOT NULL,
    public        BLOB    NOT NULL,
    sealed        BLOB,             -- private key; NULL for 'package'
    active        BOOLEAN NOT NULL, -- the one 'repo' key that signs
    created_at    BIGINT  NOT NULL,
    UNIQUE (repository_id, name)
);
CREATE UNIQUE INDEX keys_active ON keys (repository_id) WHERE active;

-- Releases of distributions that an administrator added to the built-in ones.
CREATE TABLE distro_releases (
    id           INTEGER PRIMARY KEY,
    os           TEXT    NOT NULL,
    os_display   TEXT    NOT NULL,
    format       TEXT    NOT NULL,
    version      TEXT    NOT NULL,
    display_name TEXT    NOT NULL,
    number       TEXT    NOT NULL,
    UNIQUE (os, version)
);

-- A scope is one distribution version of one repository: what a publication
-- covers. Its generation is the row that is flipped.
CREATE TABLE scopes (
    id            INTEGER PRIMARY KEY,
    repository_id BIGINT  NOT NULL REFERENCES repositories (id),
    distro_id     BIGINT  NOT NULL,
    format        TEXT    NOT NULL,
    os            TEXT    NOT NULL,
    version       TEXT    NOT NULL,
    generation    BIGINT  NOT NULL DEFAULT 0, -- 0: never published
    published_at  BIGINT  NOT NULL DEFAULT 0,
    not_before    BIGINT  NOT NULL DEFAULT 0, -- when the next publication may begin
    lease         TEXT    NOT NULL DEFAULT '', -- who publishes
    lease_until   BIGINT  NOT NULL DEFAULT 0,
    failures      BIGINT  NOT NULL DEFAULT 0,  -- in a row
    last_error    TEXT    NOT NULL DEFAULT '',
    UNIQUE (repository_id, os, version)
);

-- What waits to be published, recorded by the transaction that caused it.
CREATE TABLE changes (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    scope_id   BIGINT  NOT NULL REFERENCES scopes (id),
    kind       TEXT    NOT NULL, -- 'package', 'list', 'relist', 'refresh' or 'rebuild'
    package_id BIGINT  NOT NULL DEFAULT 0,
    list       TEXT    NOT NULL DEFAULT '',
    created_at BIGINT  NOT NULL
);
CREATE INDEX changes_scope ON changes (scope_id);

-- Stored package files, one row for each digest.
CREATE TABLE blobs (
    sha256     TEXT    PRIMARY KEY,
    object     TEXT    NOT NULL, -- storage key
    size       BIGINT  NOT NULL,
    md5        TEXT    NOT NULL,
    sha1       TEXT    NOT NULL,
    sha512     TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    doomed_at  BIGINT            -- since when no package refers to it
);
CREATE INDEX blobs_object ON blobs (object);
CREATE INDEX blobs_doomed ON blobs (doomed_at) WHERE doomed_at IS NOT NULL;

CREATE TABLE packages (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    repository_id BIGINT  NOT NULL REFERENCES repositories (id),
    scope_id      BIGINT  NOT NULL REFERENCES scopes (id),
    type          TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    version       TEXT    NOT NULL,
    release       TEXT    NOT NULL,
    epoch         BIGINT,
    architecture  TEXT    NOT NULL,
    namespace     TEXT    NOT NULL, -- within which the file name is unique
    filename      TEXT    NOT NULL,
    summary       TEXT    NOT NULL,
    description   TEXT    NOT NULL,
    licenses      TEXT,             -- JSON array
    dependencies  TEXT,             -- JSON array
    attributes    TEXT,             -- JSON object
    list          TEXT    NOT NULL,
    uploader_id   BIGINT  NOT NULL REFERENCES users (id),
    created_at    BIGINT  NOT NULL,
    indexed       BOOLEAN NOT NULL DEFAULT FALSE,
    deleted_at    BIGINT,           -- removed by somebody; the file name is free again
    retired_at    BIGINT            -- the generation without it went live
);
CREATE UNIQUE INDEX packages_filename ON packages (scope_id, namespace, filename) WHERE deleted_at IS NULL;
CREATE INDEX packages_scope ON packages (scope_id, id) WHERE deleted_at IS NULL;
CREATE INDEX packages_list ON packages (scope_id, list, id) WHERE deleted_at IS NULL;
CREATE INDEX packages_repository ON packages (repository_id, id) WHERE deleted_at IS NULL;
CREATE INDEX packages_name ON packages (repository_id, name) WHERE deleted_at IS NULL;
CREATE INDEX packages_retired ON packages (retired_at) WHERE retired_at IS NOT NULL;

CREATE TABLE package_files (
    package_id    BIGINT  NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL, -- 0 is the package file
    repository_id BIGINT  NOT NULL,
    name          TEXT    NOT NULL,
    path          TEXT    NOT NULL, -- relative to the repository's URL
    sha256        TEXT    NOT NULL REFERENCES blobs (sha256),
    PRIMARY KEY (package_id, position)
);
CREATE INDEX package_files_path ON package_files (repository_id, path);
CREATE INDEX package_files_sha256 ON package_files (sha256);

-- Which bytes a path stands for. Rows stay for ever, so that a URL that was
-- ever published never means other bytes, whatever was deleted in between.
CREATE TABLE paths (
    repository_id BIGINT NOT NULL,
    path          TEXT   NOT NULL,
    sha256        TEXT   NOT NULL,
    PRIMARY KEY (repository_id, path)
) WITHOUT ROWID;

-- The rendered text of a package in the documents of one kind.
CREATE TABLE entries (
    package_id BIGINT NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
    kind       TEXT   NOT NULL,
    text       BLOB   NOT NULL,
    PRIMARY KEY (package_id, kind)
);

-- The lists of scopes whose format has documents for each of them. One whose
-- packages are all gone keeps its row, and with it its place among the names.
CREATE TABLE names (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    scope_id BIGINT  NOT NULL REFERENCES scopes (id),
    list     TEXT    NOT NULL,
    listed   BOOLEAN NOT NULL DEFAULT FALSE, -- in the live generation
    UNIQUE (scope_id, list)
);
CREATE INDEX names_scope ON names (scope_id, id);

-- Words that stand for a version within a list.
CREATE TABLE tags (
    scope_id BIGINT NOT NULL REFERENCES scopes (id),
    list     TEXT   NOT NULL,
    tag      TEXT   NOT NULL,
    value    TEXT   NOT NULL,
    PRIMARY KEY (scope_id, list, tag)
) WITHOUT ROWID;

-- A document of a scope, in its live generation.
CREATE TABLE documents (
    id           INTEGER PRIMARY KEY,
    scope_id     BIGINT  NOT NULL REFERENCES scopes (id),
    name         TEXT    NOT NULL,
    list         TEXT    NOT NULL, -- its own listing, of the two it may draw from
    changed_at   BIGINT  NOT NULL, -- when the generation that last changed it went live; 0: never
    entries      BIGINT  NOT NULL,
    first        BIGINT  NOT NULL, -- the entry that stands in the head; 0: none
    plain_size   BIGINT  NOT NULL,
    plain_sha256 TEXT    NOT NULL,
    gzip_size    BIGINT  NOT NULL,
    gzip_sha256  TEXT    NOT NULL,
    zstd_size    BIGINT  NOT NULL,
    zstd_sha256  TEXT    NOT NULL,
    UNIQUE (scope_id, name)
);

-- The segments of documents. A document as of generation g has those with
-- generation <= g and (retired IS NULL OR retired > g).
CREATE TABLE segments (
    document_id   BIGINT NOT NULL REFERENCES documents (id),
    first         BIGINT NOT NULL,
    generation    BIGINT NOT NULL,
    retired       BIGINT,           -- the generation that has it no more
    retired_at    BIGINT,
    entries       BIGINT NOT NULL,
    plain_size    BIGINT NOT NULL,
    gzip_size     BIGINT NOT NULL,
    zstd_size     BIGINT NOT NULL,
    object        TEXT   NOT NULL,  -- '' if inline
    inline        BLOB,
    start_entries BIGINT NOT NULL,
    start_plain   BIGINT NOT NULL,
    start_gzip    BIGINT NOT NULL,
    start_zstd    BIGINT NOT NULL,
    state_plain   BLOB,
    state_gzip    BLOB,
    state_zstd    BLOB,
    PRIMARY KEY (document_id, first, generation)
);
CREATE INDEX segments_object ON segments (object) WHERE object <> '';
CREATE INDEX segments_retired ON segments (retired_at) WHERE retired_at IS NOT NULL;

-- The files of generations: forms of documents, and entry points.
CREATE TABLE files (
    id          INTEGER PRIMARY KEY,
    scope_id    BIGINT  NOT NULL REFERENCES scopes (id),
    path        TEXT    NOT NULL, -- within the scope
    generation  BIGINT  NOT NULL, -- the first that has it
    retired     BIGINT,           -- the generation that has it no more
    retired_at  BIGINT,
    sha256      TEXT    NOT NULL,
    size        BIGINT  NOT NULL,
    created_at  BIGINT  NOT NULL,
    document_id BIGINT,           -- of a form of a document
    encoding    INTEGER NOT NULL DEFAULT 0,
    object      TEXT    NOT NULL, -- storage key of an entry point
    content_type TEXT   NOT NULL,
    pair        TEXT    NOT NULL  -- path of the entry point that it must match
);
CREATE UNIQUE INDEX files_live ON files (scope_id, path) WHERE retired IS NULL;
CREATE INDEX files_path ON files (scope_id, path, generation);
CREATE INDEX files_points ON files (scope_id) WHERE retired IS NULL AND document_id IS NULL;
CREATE INDEX files_digest ON files (scope_id, sha256);
CREATE INDEX files_object ON files (object) WHERE object <> '';
CREATE INDEX files_retired ON files (retired_at) WHERE retired_at IS NOT NULL;

-- +goose Down
DROP TABLE files;
DROP TABLE segments;
DROP TABLE documents;
DROP TABLE tags;
DROP TABLE names;
DROP TABLE entries;
DROP TABLE paths;
DROP TABLE package_files;
DROP TABLE packages;
DROP TABLE blobs;
DROP TABLE changes;
DROP TABLE scopes;
DROP TABLE distro_releases;
DROP TABLE keys;
DROP TABLE read_tokens;
DROP TABLE master_tokens;
DROP TABLE collaborations;
DROP TABLE repositories;
DROP TABLE users;
