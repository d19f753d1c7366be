-- Lists the names of a repository without a look at its packages.

-- +goose Up
CREATE INDEX packages_names ON packages (repository_id, name, type, scope_id, architecture) WHERE deleted_at IS NULL;

-- +goose Down
DROP INDEX packages_names;
