package auth

import (
	"errors"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// TestUnknownAccountCostsAsMuch compares a password with that of nobody: bcrypt must
// do all of its work, and not stop at a hash that it cannot read.
func TestUnknownAccountCostsAsMuch(t *testing.T) {
	if cost, err := bcrypt.Cost(noPassword); err != nil || cost != PasswordCost {
		t.Errorf("the hash of nobody's password costs %d and not %d: %v", cost, PasswordCost, err)
	}
	if err := bcrypt.CompareHashAndPassword(noPassword, []byte("secret")); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Errorf("a password and the hash of nobody's: %v", err)
	}
}
