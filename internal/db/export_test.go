package db

import (
	"context"
	"testing"
)

// Exec runs a statement, for rows that older programs wrote.
func (d *DB) Exec(ctx context.Context, query string, args ...any) error {
	_, err := d.write.ExecContext(ctx, query, args...)
	return err
}

// waitingQueries look for what is to be published.
func waitingQueries(now Timing) map[string][]any {
	return map[string][]any{
		"NextDue":    append([]any{nextDue}, append(now.times(), 0.5)...),
		"LeaseScope": append([]any{leaseScope + "id"}, append(now.times(), 0.5, "word")...),
		"Rebuilds":   {rebuilds, 1},
	}
}

// ExplainWaiting runs the queries that look for what is to be published, and
// returns how PostgreSQL did it.
func ExplainWaiting(t *testing.T, d *DB, now Timing) map[string]string {
	t.Helper()
	plans := make(map[string]string)
	for name, q := range waitingQueries(now) {
		var plan string
		if err := d.write.QueryRowContext(t.Context(), "EXPLAIN (ANALYZE, FORMAT JSON) "+q[0].(string), q[1:]...).Scan(&plan); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plans[name] = plan
	}
	return plans
}
