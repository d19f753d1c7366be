package awsfake

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Evaluate makes an Authorize of the identity policies of the caller, as IAM
// evaluates them: what no statement allows is refused, and a Deny outweighs what
// others allow. Of conditions it knows StringEquals.
func Evaluate(policies ...string) (func(Check) bool, error) {
	var statements []statement
	for _, text := range policies {
		list, err := parseStatements(text)
		if err != nil {
			return nil, err
		}
		statements = append(statements, list...)
	}
	return func(c Check) bool {
		allowed := false
		for _, s := range statements {
			if !s.about(c) {
				continue
			}
			if s.Effect == "Deny" {
				return false
			}
			allowed = true
		}
		return allowed
	}, nil
}

// statement is one of a policy.
type statement struct {
	Effect           string
	Principal        any
	Action, Resource texts
	Condition        map[string]map[string]texts
}

// texts is a list that may be written as its only entry.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

func parseStatements(policy string) ([]statement, error) {
	var p struct{ Statement []statement }
	if err := json.Unmarshal([]byte(policy), &p); err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	for _, s := range p.Statement {
		for operator := range s.Condition {
			if operator != "StringEquals" {
				return nil, fmt.Errorf("the policy has a condition %s, which is not evaluated here", operator)
			}
		}
	}
	return p.Statement, nil
}

// about reports whether a statement is about a call.
func (s *statement) about(c Check) bool {
	if !slices.ContainsFunc(s.Action, func(pattern string) bool { return matches(strings.ToLower(pattern), strings.ToLower(c.Action)) }) ||
		!slices.ContainsFunc(s.Resource, func(pattern string) bool { return matches(pattern, c.Resource) }) {
		return false
	}
	for key, values := range s.Condition["StringEquals"] {
		if !slices.Contains(values, c.Context[key]) {
			return false
		}
	}
	return true
}

// matches is the wildcard of IAM: an asterisk stands for any characters.
func matches(pattern, s string) bool {
	before, after, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	rest, ok := strings.CutPrefix(s, before)
	if !ok {
		return false
	}
	for i := range len(rest) + 1 {
		if matches(after, rest[i:]) {
			return true
		}
	}
	return false
}

// lockedOut is the check of CreateKey: whether a key policy would keep the caller
// from changing it later. A policy for the account leaves it to the policies of
// the caller.
func (f *Fake) lockedOut(c *call, policy, arn string) bool {
	statements, err := parseStatements(policy)
	if err != nil {
		return true
	}
	change := Check{Action: "kms:PutKeyPolicy", Resource: arn}
	for _, s := range statements {
		if s.Effect != "Allow" || !s.about(change) {
			continue
		}
		who, _ := s.Principal.(map[string]any)
		switch fmt.Sprint(who["AWS"]) {
		case Caller:
			return false
		case "arn:aws:iam::" + Account + ":root":
			return f.may(c, change.Action, arn) != nil
		}
	}
	return true
}
