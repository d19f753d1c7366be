package rpm

import (
	"errors"
	"strings"
)

// maxClauses bounds what a relation with conditions ("(a and (b or c))") becomes
// when libsolv multiplies it out, which it does to install the package. Twenty
// pairs can make it run out of memory. Real relations have a dozen clauses.
const maxClauses = 1000

var (
	errRichSyntax = errors.New("it has conditions that rpm and libsolv cannot read")
	errRichSize   = errors.New("its conditions are more than a solver can multiply out")
)

// clauses counts the parts of a relation as a solver writes it: a conjunction of
// alternatives, and an alternative of conjunctions.
type clauses struct{ all, any int }

func (c clauses) not() clauses { return clauses{c.any, c.all} }
func (c clauses) and(other clauses) clauses {
	return clauses{c.all + other.all, product(c.any, other.any)}
}
func (c clauses) or(other clauses) clauses {
	return clauses{product(c.all, other.all), c.any + other.any}
}

func product(a, b int) int { return min(a*b, maxClauses+1) }

// checkRich reads a relation with conditions as libsolv's parseRichDep does. What
// is required becomes a conjunction of alternatives, and what conflicts the
// negation of that; the other kinds are not multiplied out.
func checkRich(kind, text string) error {
	if len(text) > maxShort { // it is read by recursion, here and there
		return errRichSize
	}
	r := richReader{text}
	c, err := r.group()
	switch {
	case err != nil:
		return err
	case r.rest != "":
		return errRichSyntax
	case c.all > maxClauses && (kind == "requires" || kind == "recommends"), c.any > maxClauses && kind == "conflicts":
		return errRichSize
	}
	return nil
}

type richReader struct{ rest string }

// group reads from an opening parenthesis to the one that closes it.
func (r *richReader) group() (clauses, error) {
	r.rest = r.rest[1:]
	terms, operators, err := r.chain()
	if err != nil {
		return clauses{}, err
	}
	c := terms[0]
	for i, op := range operators {
		next := terms[i+1]
		switch op {
		case "and", "with", "without":
			c = c.and(next)
		case "or":
			c = c.or(next)
		case "if":
			c = c.or(next.not())
		case "unless":
			c = c.and(next.not())
		case "else": // (a if b else c): a or not b, and c or b
			c = c.and(next.or(terms[i]))
		}
	}
	return clauses{min(c.all, maxClauses+1), min(c.any, maxClauses+1)}, nil
}

// chain reads the terms of a group, all joined by the same operator; else follows
// if and unless.
func (r *richReader) chain() (terms []clauses, operators []string, err error) {
	for {
		term, err := r.term()
		if err != nil {
			return nil, nil, err
		}
		terms = append(terms, term)
		r.space()
		if strings.HasPrefix(r.rest, ")") {
			r.rest = r.rest[1:]
			return terms, operators, nil
		}
		op, _, found := strings.Cut(r.rest, " ")
		if !found || !mayFollow(op, operators) {
			return nil, nil, errRichSyntax
		}
		operators = append(operators, op)
		r.rest = r.rest[len(op):]
	}
}

// mayFollow tells whether an operator may stand after those before it.
func mayFollow(op string, before []string) bool {
	last := ""
	if len(before) > 0 {
		last = before[len(before)-1]
	}
	switch op {
	case "and", "or", "with":
		return last == "" || last == op
	case "if", "unless", "without":
		return last == ""
	case "else":
		return last == "if" || last == "unless"
	default:
		return false
	}
}

// term reads a group, or a name with or without a version.
func (r *richReader) term() (clauses, error) {
	r.space()
	if strings.HasPrefix(r.rest, "(") {
		return r.group()
	}
	if r.word() == "" {
		return clauses{}, errRichSyntax
	}
	r.space()
	if sense := len(r.rest) - len(strings.TrimLeft(r.rest, "<=>")); sense > 0 {
		r.rest = r.rest[sense:]
		r.space()
		if r.word() == "" {
			return clauses{}, errRichSyntax
		}
	}
	return clauses{1, 1}, nil
}

func (r *richReader) space() { r.rest = strings.TrimLeft(r.rest, " ") }

// word reads up to a space, a comma or the end of the group. Parentheses in it are
// its own: "perl(Carp)".
func (r *richReader) word() string {
	depth := 0
	for i := range len(r.rest) {
		switch r.rest[i] {
		case ' ', ',':
			return r.take(i)
		case '(':
			depth++
		case ')':
			if depth == 0 {
				return r.take(i)
			}
			depth--
		}
	}
	return r.take(len(r.rest))
}

func (r *richReader) take(n int) string {
	word := r.rest[:n]
	r.rest = r.rest[n:]
	return word
}
