package rubyconf

import (
	"fmt"
	"slices"
)

// atBeginning is where a statement begins.
const atBeginning = "at the beginning of a setting"

const (
	readHint   = "settings are read, not run: write the value itself, or take it from the environment with ENV.fetch('NAME', 'default')"
	loadHint   = "remove the line: nothing else is loaded, and settings stand in one file"
	outputHint = "remove the line: settings are read, not run"
)

// keywords are the words of Ruby that cannot begin a setting, with hints.
var keywords = map[string]string{
	"if": readHint, "unless": readHint, "case": readHint, "while": readHint, "until": readHint, "for": readHint,
	"begin": readHint, "def": readHint, "class": readHint, "module": readHint, "loop": readHint,
	"lambda": readHint, "proc": readHint, "eval": readHint, "send": readHint, "alias": readHint, "undef": readHint,
	"require": loadHint, "require_relative": loadHint, "load": loadHint, "autoload": loadHint, "include": loadHint,
	"extend": loadHint, "from_file": loadHint, "gem": loadHint,
	"puts": outputHint, "print": outputHint, "p": outputHint, "pp": outputHint, "raise": outputHint, "exit": outputHint,
	"system": outputHint, "exec": outputHint, "return": outputHint, "warn": outputHint,
	"true": readHint, "false": readHint, "nil": readHint,
}

// blockWords open a block that "end" closes.
var blockWords = []string{"if", "unless", "case", "while", "until", "for", "begin", "def", "class", "module", "loop"}

// innerWords stand within a block or close it.
var innerWords = []string{"end", "else", "elsif", "when", "in", "then", "do", "rescue", "ensure"}

// operatorHints say what to write instead of an operator.
var operatorHints = map[string]string{
	"||": "for a variable of the environment write ENV.fetch('NAME', 'default')", "&&": readHint, "?": readHint, "!": readHint,
	"==": readHint, "!=": readHint, "=~": readHint, "<": readHint, ">": readHint, "->": readHint,
	"||=": "write =", "&&=": "write =", "+=": "write = and the whole value", "-=": "write = and the whole value",
	"<<": "write = and the whole array", "+": "write the whole value as one string or number", "-": "write the result itself",
	"*": "write the result itself", "/": "write the result itself", "%": "write the result itself", "**": "write the result itself",
	".": "write the value itself: methods cannot be called", "&.": "write the value itself: methods cannot be called",
	"::": "write the value itself: there are no constants here",
	"..": "write the numbers as an array", "...": "write the numbers as an array",
	"`": "commands are not run: write their result", "$": "there are no variables: write the value itself",
	"@": "there are no variables: write the value itself", "{": "blocks cannot be used",
	",": "a setting has one value: write an array in brackets for several", "=": "write one setting a line",
	"=>": "write a hash in braces: { 'key' => 'value' }",
	"]":  "remove it, or write the bracket that belongs to it", ")": "remove it, or write the bracket that belongs to it",
	"}": "remove it, or write the bracket that belongs to it",
}

// unsupported reports a word that cannot begin a setting.
func (p *parser) unsupported(t token) bool {
	if slices.Contains(innerWords, t.text) {
		if !p.blocks {
			p.problem(t.place, t.text+" cannot be used here", readHint)
		}
		return true
	}
	if hint, ok := keywords[t.text]; ok {
		p.blocks = p.blocks || slices.Contains(blockWords, t.text)
		p.problem(t.place, t.text+" cannot be used here", hint)
		return true
	}
	if t.text[0] >= 'A' && t.text[0] <= 'Z' {
		p.problem(t.place, t.text+" cannot be set here", "settings are named in small letters, such as packagecloud_rails['key']")
		return true
	}
	return false
}

// refuse reports the token at hand, unless that was done when it was read.
func (p *parser) refuse(where string) {
	t := p.tok
	var what, hint string
	switch t.kind {
	case bad:
		return
	case end:
		what = "the end of the file"
	case newline:
		what = "the end of the line"
	case str:
		what, hint = "a string", "put operators, commas or a new line between two values"
		switch where {
		case "after the value":
			hint = "write one string: two of them are not joined"
		case atBeginning:
			hint = "begin the line with the name of a setting"
		}
	case symbol, label:
		what, hint = fmt.Sprintf("the symbol %q", t.value), fmt.Sprintf("write it as a string: %q", t.value)
		if t.kind == label {
			hint = "write a hash in braces: { key: 'value' }"
		}
	case number:
		what = t.text
	case words:
		what = "%w"
	case word:
		what, hint = t.text, wordHint(t.text, where)
		if before := p.src[max(t.offset-1, 0)]; before == '\'' || before == '"' {
			hint = fmt.Sprintf("a quote that belongs to the text is written \\%c", before)
		}
		if slices.Contains([]string{"do", "then"}, t.text) {
			p.blocks = true
		}
	default:
		what, hint = t.text, operatorHints[t.text]
	}
	p.problem(t.place, fmt.Sprintf("%s cannot be used %s", what, where), hint)
}

func wordHint(text, where string) string {
	if _, ok := keywords[text]; ok || slices.Contains(innerWords, text) {
		return readHint
	}
	if where == "after the value" {
		return "begin a new line for the next setting"
	}
	return "write text in quotes: '" + text + "'"
}
