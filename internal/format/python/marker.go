package python

import (
	"fmt"
	"regexp"
	"strings"
)

// maxDepth bounds the parentheses of a marker within each other: readers descend
// into them.
const maxDepth = 50

// maxChoices bounds the rows of comparisons, joined by and or by or, that look at
// different things. uv makes a decision diagram of each marker that it reads, which
// doubles with each row in another: 20 alternatives of two extras each take 1.7 GB and
// 15 seconds, 16 of them 150 MB. One row may be as long as it likes.
const maxChoices = 16

// subject is what comparisons look at: one thing, or several.
type subject struct {
	name    string
	several bool
}

func (s subject) and(other subject) subject {
	return subject{s.name, s.several || other.several || s.name != other.name}
}

// marker reads comparisons joined by and, which binds first, and by or.
func (s *scanner) marker() (subject, error) {
	if s.depth++; s.depth > maxDepth {
		return subject{}, fmt.Errorf("has more than %d parentheses within each other", maxDepth)
	}
	defer func() { s.depth-- }()
	return s.row(tokenOr, func() (subject, error) { return s.row(tokenAnd, s.term) })
}

// row reads parts that are joined by an operator.
func (s *scanner) row(operator *regexp.Regexp, part func() (subject, error)) (all subject, err error) {
	for n := 1; ; n++ {
		next, err := part()
		if err != nil {
			return all, err
		}
		if n == 1 {
			all = next
		}
		all = all.and(next)
		if s.blank(); s.take(operator) {
			continue
		}
		if n > 1 && all.several {
			s.choices++
		}
		if s.choices > maxChoices {
			return all, fmt.Errorf("joins more than %d rows of comparisons by and, or in its marker, which takes uv gigabytes", maxChoices)
		}
		return all, nil
	}
}

// term reads a comparison, or a marker in parentheses.
func (s *scanner) term() (subject, error) {
	s.blank()
	if s.literal("(") {
		inside, err := s.marker()
		if err == nil && !s.literal(")") {
			err = s.expected("the closing parenthesis of the marker")
		}
		return inside, err
	}
	return s.comparison()
}

// comparison reads an operator between a variable and a string.
func (s *scanner) comparison() (subject, error) {
	left, isVariable, err := s.operand()
	if err != nil {
		return subject{}, err
	}
	s.blank()
	operator := s.cut(tokenOperator)
	if operator == "" {
		return subject{}, s.expected("an operator of the marker")
	}
	s.blank()
	right, alsoVariable, err := s.operand()
	switch {
	case err != nil:
		return subject{}, err
	case !isVariable && !alsoVariable:
		return subject{}, fmt.Errorf("compares two strings in its marker, which ends pip")
	case left == "extra", right == "extra", strings.HasSuffix(operator, "in"): // a question of its own for each string
		return subject{name: left + " " + right}, nil
	case isVariable:
		return subject{name: left}, nil
	}
	return subject{name: right}, nil
}

// operand reads a side of a comparison, and tells whether it is a variable.
func (s *scanner) operand() (text string, variable bool, err error) {
	if text = s.cut(tokenString); text != "" {
		return text, false, nil
	}
	if text = s.cut(tokenVariable); text != "" {
		return text, true, nil
	}
	return "", false, s.expected("a marker's variable or a string in quotes")
}
