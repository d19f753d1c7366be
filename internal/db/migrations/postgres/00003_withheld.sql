-- +goose Up
-- The format.GateVersion by which all packages of the scope were checked last.
ALTER TABLE scopes ADD COLUMN gate BIGINT NOT NULL DEFAULT 0;
-- Why no index lists the package, in words; NULL: it is listed.
ALTER TABLE packages ADD COLUMN withheld TEXT;
CREATE INDEX packages_withheld ON packages (scope_id, id) WHERE withheld IS NOT NULL AND deleted_at IS NULL;
