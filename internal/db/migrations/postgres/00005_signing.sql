-- Several keys sign while a repository changes its key, and what clients compare
-- or what follows the clock is remembered for each scope.

-- +goose Up
ALTER TABLE keys ADD COLUMN signs BOOLEAN NOT NULL DEFAULT FALSE; -- the active key, and those that still sign beside it
UPDATE keys SET signs = active;
ALTER TABLE scopes ADD COLUMN origin TEXT NOT NULL DEFAULT '';    -- the host in Release, as of the first generation; '' before it
ALTER TABLE scopes ADD COLUMN url TEXT NOT NULL DEFAULT '';       -- the external_url that links in documents were made with; '' if not known
ALTER TABLE scopes ADD COLUMN latest_at BIGINT NOT NULL DEFAULT 0; -- the latest time that a generation ever had
UPDATE scopes SET latest_at = published_at;

-- +goose Down
ALTER TABLE scopes DROP COLUMN latest_at;
ALTER TABLE scopes DROP COLUMN url;
ALTER TABLE scopes DROP COLUMN origin;
ALTER TABLE keys DROP COLUMN signs;
