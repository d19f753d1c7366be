-- The repositories of x86_64, ppc64 and s390x list the packages of another
-- architecture besides. Those that have some are rendered again from the rows.

-- +goose Up
INSERT INTO changes (scope_id, kind, created_at)
SELECT s.id, 'rebuild', CAST(extract(epoch FROM now()) AS BIGINT) * 1000
FROM scopes s
WHERE s.format = 'rpm' AND EXISTS (
    SELECT 1 FROM packages p WHERE p.scope_id = s.id AND p.deleted_at IS NULL AND p.list IN ('i386', 'ppc', 's390'));

-- +goose Down
-- Programs before render what they list when they rebuild the scope.
