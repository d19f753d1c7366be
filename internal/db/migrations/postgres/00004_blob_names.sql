-- A package file is stored once for each name and not once for each digest, so
-- that nobody is told the name that somebody else gave the same bytes.
-- The tables say the same as ../sqlite.

-- +goose Up
ALTER TABLE package_files DROP CONSTRAINT package_files_sha256_fkey;
DROP INDEX package_files_sha256;
ALTER TABLE blobs DROP CONSTRAINT blobs_pkey;
DROP INDEX blobs_object;
ALTER TABLE blobs
    ADD COLUMN name TEXT, -- of the file; of an object that no upload recorded, the end of its key
    ADD COLUMN borrowed BOOLEAN NOT NULL DEFAULT FALSE; -- object was stored for another name, by an older program
-- The rest of a key stands behind 'packages/', the digest and a slash. An object
-- of several names may have been stored for any of them.
INSERT INTO blobs (sha256, name, object, borrowed, size, md5, sha1, sha512, created_at)
SELECT b.sha256, f.name, b.object, f.name <> substr(b.object, 75) OR f.names > 1, b.size, b.md5, b.sha1, b.sha512, b.created_at
FROM (SELECT sha256, name, count(*) OVER (PARTITION BY sha256) AS names FROM package_files GROUP BY sha256, name) f JOIN blobs b ON b.sha256 = f.sha256;
DELETE FROM blobs b WHERE name IS NULL AND EXISTS (SELECT 1 FROM package_files f WHERE f.sha256 = b.sha256);
UPDATE blobs SET name = substr(object, 75) WHERE name IS NULL;
ALTER TABLE blobs ALTER COLUMN name SET NOT NULL;
ALTER TABLE blobs ALTER COLUMN borrowed DROP DEFAULT;
ALTER TABLE blobs ADD PRIMARY KEY (sha256, name);
CREATE INDEX package_files_blob ON package_files (sha256, name);
ALTER TABLE package_files ADD FOREIGN KEY (sha256, name) REFERENCES blobs (sha256, name);
-- An object is that of one name, and of any number that borrow it.
CREATE UNIQUE INDEX blobs_object ON blobs (object, (CASE WHEN borrowed THEN name ELSE '' END));
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
ALTER TABLE package_files DROP CONSTRAINT package_files_sha256_name_fkey;
DROP INDEX package_files_blob;
DROP INDEX blobs_borrowed;
DROP INDEX blobs_object;
DELETE FROM blobs b WHERE name <> (SELECT min(o.name) FROM blobs o WHERE o.sha256 = b.sha256 AND (o.doomed_at IS NULL OR NOT EXISTS
    (SELECT 1 FROM blobs l WHERE l.sha256 = b.sha256 AND l.doomed_at IS NULL)));
ALTER TABLE blobs DROP CONSTRAINT blobs_pkey;
ALTER TABLE blobs DROP COLUMN name, DROP COLUMN borrowed;
ALTER TABLE blobs ADD PRIMARY KEY (sha256);
CREATE INDEX blobs_object ON blobs (object);
CREATE INDEX package_files_sha256 ON package_files (sha256);
ALTER TABLE package_files ADD FOREIGN KEY (sha256) REFERENCES blobs (sha256);
