// Package rubyconf reads configuration files that are written in Ruby, such as
// packagecloud.rb, without running them. It knows the part of Ruby that
// settings need and refuses everything else with a hint what to write instead:
//
//	external_url 'https://packages.example.com'
//	packagecloud_rails['s3_bucket'] = "packages"
//	rainbows["worker_processes"] = 4
//	packagecloud_rails[:trusted_proxies] = %w[10.0.0.0/8 192.0.2.1/32]
//	packagecloud_rails['aws_secret_key'] = ENV.fetch('AWS_SECRET', '')
//
// Values are strings, integers, floats, true, false, nil, arrays, hashes and
// the environment.
package rubyconf

import (
	"fmt"
	"strings"
)

// Limits of what is read.
const (
	MaxSize     = 1 << 20 // bytes of a file
	MaxNesting  = 20      // arrays and hashes within each other, and subscripts
	maxProblems = 50      // reported at once
)

// Setting is one value that the file sets. A name may be set again: the last
// value counts.
type Setting struct {
	// Path is the name with its subscripts: ("external_url") or
	// ("packagecloud_rails", "s3_bucket").
	Path []string
	// Value is a string, int64, float64, bool, nil, []any of these or
	// map[string]any of these. A variable that the environment lacks is nil.
	Value any
	Line  int // where Path stands, from 1
}

// Problem is one thing that is wrong with a file.
type Problem struct {
	File    string
	Line    int // from 1; 0 when the problem has no place in the file
	Column  int // in characters, from 1; 0 for the line as a whole
	Message string
	Hint    string // what to do about it; may be empty
}

// String is "file:line:column: message" with the hint, if any, in parentheses
// behind it.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	if p.Column > 0 {
		fmt.Fprintf(&b, ":%d", p.Column)
	}
	b.WriteString(": " + p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Error is everything that is wrong with a file.
type Error struct {
	Problems []Problem
}

// Error is one problem a line.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Parse reads the settings of a file in their order. ENV['X'] is looked up
// with lookupEnv; nil stands for an empty environment. On problems it returns
// an *Error with all of them, and the settings that it understood.
func Parse(file string, src []byte, lookupEnv func(string) (string, bool)) ([]Setting, error) {
	if lookupEnv == nil {
		lookupEnv = func(string) (string, bool) { return "", false }
	}
	r := &report{file: file}
	var settings []Setting
	if l := newLexer(src, r); l != nil {
		settings = (&parser{lexer: l, lookupEnv: lookupEnv}).file()
	}
	if len(r.problems) > 0 {
		return settings, &Error{Problems: r.problems}
	}
	return settings, nil
}

// report gathers problems until there are too many.
type report struct {
	file     string
	problems []Problem
	muted    bool
}

func (r *report) full() bool { return len(r.problems) >= maxProblems }

// add adds a problem to a report that is neither full nor muted.
func (r *report) add(line, column int, message, hint string) {
	r.problems = append(r.problems, Problem{File: r.file, Line: line, Column: column, Message: message, Hint: hint})
	if r.full() {
		r.problems = append(r.problems, Problem{File: r.file, Message: "there are more problems than are shown", Hint: "correct these first"})
	}
}
