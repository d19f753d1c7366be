-- A package file is stored once for each name and not once for each digest, so
-- that nobody is told the name that somebody else gave the same bytes.
-- The tables say the same as ../postgres.

-- +goose Up
CREATE TABLE named_blobs (
    sha256     TEXT    NOT NULL,
    name       TEXT    NOT NULL, -- of the file; of an object that no upload recorded, the end of its key
    object     TEXT    NOT NULL, -- storage key
    borrowed   BOOLEAN NOT NULL, -- object was stored for another name, by an older program
    size       BIGINT  NOT NULL,
    md5        TEXT    NOT NULL,
    sha1       TEXT    NOT NULL,
    sha512     TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    doomed_at  BIGINT,           -- since when no package refers to it
    PRIMARY KEY (sha256, name)
);
-- The rest of a key stands behind 'packages/', the digest and a slash. An object
-- of several names may have been stored for any of them.
INSERT INTO named_blobs (sha256, name, object, borrowed, size, md5, sha1, sha512, created_at)
SELECT b.sha256, f.name, b.object, f.name <> substr(b.object, 75) OR f.names > 1, b.size, b.md5, b.sha1, b.sha512, b.created_at
FROM (SELECT sha256, name, count(*) OVER (PARTITION BY sha256) AS names FROM package_files GROUP BY sha256, name) f JOIN blobs b ON b.sha256 = f.sha256;
INSERT INTO named_blobs (sha256, name, object, borrowed, size, md5, sha1, sha512, created_at, doomed_at)
SELECT sha256, substr(object, 75), object, FALSE, size, md5, sha1, sha512, created_at, doomed_at
FROM blobs b WHERE NOT EXISTS (SELECT 1 FROM package_files f WHERE f.sha256 = b.sha256);

CREATE TABLE named_files (
    package_id    BIGINT  NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL, -- 0 is the package file
    repository_id BIGINT  NOT NULL,
    name          TEXT    NOT NULL,
    path          TEXT    NOT NULL, -- relative to the repository's URL
    sha256        TEXT    NOT NULL,
    PRIMARY KEY (package_id, position),
    FOREIGN KEY (sha256, name) REFERENCES named_blobs (sha256, name)
);
INSERT INTO named_files (package_id, position, repository_id, name, path, sha256)
SELECT package_id, position, repository_id, name, path, sha256 FROM package_files;
DROP TABLE package_files;
DROP TABLE blobs;
ALTER TABLE named_blobs RENAME TO blobs;
ALTER TABLE named_files RENAME TO package_files;
CREATE INDEX package_files_path ON package_files (repository_id, path);
CREATE INDEX package_files_blob ON package_files (sha256, name);
-- An object is that of one name, and of any number that borrow it.
CREATE UNIQUE INDEX blobs_object ON blobs (object, (CASE WHEN borrowed THEN name ELSE '' END));
CREATE INDEX blobs_doomed ON blobs (doomed_at) WHERE doomed_at IS NOT NULL;
CREATE INDEX blobs_borrowed ON blobs (sha256, name) WHERE borrowed;

-- Which storage belongs to this database: what its object packages/identity holds.
CREATE TABLE storage (
    identity TEXT    NOT NULL,
    id       INTEGER PRIMARY KEY CHECK (id = 1)
);

-- +goose Down
DROP TABLE storage;
-- Of several objects with a digest only one is kept: verify tells of those that
-- are lost. A downgrade is for tests.
CREATE TABLE plain_blobs (
    sha256     TEXT    PRIMARY KEY,
    object     TEXT    NOT NULL,
    size       BIGINT  NOT NULL,
    md5        TEXT    NOT NULL,
    sha1       TEXT    NOT NULL,
    sha512     TEXT    NOT NULL,
    created_at BIGINT  NOT NULL,
    doomed_at  BIGINT
);
INSERT INTO plain_blobs (sha256, object, size, md5, sha1, sha512, created_at, doomed_at)
SELECT sha256, object, size, md5, sha1, sha512, created_at, doomed_at FROM blobs b
WHERE name = (SELECT min(o.name) FROM blobs o WHERE o.sha256 = b.sha256 AND (o.doomed_at IS NULL OR NOT EXISTS
    (SELECT 1 FROM blobs l WHERE l.sha256 = b.sha256 AND l.doomed_at IS NULL)));
CREATE TABLE plain_files (
    package_id    BIGINT  NOT NULL REFERENCES packages (id) ON DELETE CASCADE,
    position      INTEGER NOT NULL,
    repository_id BIGINT  NOT NULL,
    name          TEXT    NOT NULL,
    path          TEXT    NOT NULL,
    sha256        TEXT    NOT NULL REFERENCES plain_blobs (sha256),
    PRIMARY KEY (package_id, position)
);
INSERT INTO plain_files (package_id, position, repository_id, name, path, sha256)
SELECT package_id, position, repository_id, name, path, sha256 FROM package_files;
DROP TABLE package_files;
DROP TABLE blobs;
ALTER TABLE plain_blobs RENAME TO blobs;
ALTER TABLE plain_files RENAME TO package_files;
CREATE INDEX package_files_path ON package_files (repository_id, path);
CREATE INDEX package_files_sha256 ON package_files (sha256);
CREATE INDEX blobs_object ON blobs (object);
CREATE INDEX blobs_doomed ON blobs (doomed_at) WHERE doomed_at IS NOT NULL;
