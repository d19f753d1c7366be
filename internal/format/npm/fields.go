package npm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// maxFields bounds the fields of package.json.
const maxFields = 2000

// field is a member of an object, its value compact.
type field struct {
	name  string
	value json.RawMessage
}

// object is a JSON object whose members keep their order. Of several of one
// name the last one counts, as in JavaScript.
type object []field

// parseObject reads a text that must be an object, valid, in UTF-8 and not too
// deep.
func parseObject(text []byte) (object, error) {
	s := newScanner(bytes.NewReader(text), len(text))
	value, err := s.value(len(text))
	if err != nil {
		return nil, err
	}
	if !isObject(value) {
		return nil, syntax("%.20q is no object", value)
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	compact.Grow(len(value))
	if err := json.Compact(&compact, value); err != nil {
		return nil, syntax("%v", err)
	}
	return members(portable(compact.Bytes())), nil
}

// members takes an object apart that is valid and compact. It copies no value,
// and its work is in proportion to the text.
func members(text json.RawMessage) object {
	if !isObject(text) {
		return nil
	}
	var m builder
	for rest := text[1:]; len(rest) > 0 && rest[0] == '"'; {
		var key, value extent
		n := key.take(rest)
		name := decode(rest[:n])
		rest = rest[n+1:] // and the colon
		n = value.take(rest)
		m.put(name, rest[:n:n])
		rest = rest[n+1:] // and the comma, or the bracket
	}
	return m.all
}

// decode is the text of a JSON string.
func decode(raw []byte) (text string) {
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	_ = json.Unmarshal(raw, &text) // it is valid
	return text
}

// builder puts an object together of many members.
type builder struct {
	all object
	at  map[string]int
}

func (m *builder) put(name string, value json.RawMessage) {
	if i, ok := m.at[name]; ok {
		m.all[i].value = value
		return
	}
	if m.at == nil {
		m.at = make(map[string]int)
	}
	m.at[name] = len(m.all)
	m.all = append(m.all, field{name, value})
}

func (m *builder) has(name string) bool {
	_, ok := m.at[name]
	return ok
}

// get is a member; nil without it.
func (o object) get(name string) json.RawMessage {
	for _, f := range o {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// text is a member that is a string; "" for everything else.
func (o object) text(name string) string { return field{name, o.get(name)}.text() }

// text is the value if it is a string; "" for everything else.
func (f field) text() (s string) {
	if json.Unmarshal(f.value, &s) != nil {
		return ""
	}
	return s
}

// set replaces or adds a member.
func (o *object) set(name string, value any) error {
	text, err := marshal(value)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	for i, f := range *o {
		if f.name == name {
			(*o)[i].value = text
			return nil
		}
	}
	*o = append(*o, field{name, text})
	return nil
}

// drop removes the members of a name.
func (o *object) drop(names ...string) {
	kept := (*o)[:0:0]
next:
	for _, f := range *o {
		for _, name := range names {
			if f.name == name {
				continue next
			}
		}
		kept = append(kept, f)
	}
	*o = kept
}

// write renders the object.
func (o object) write(out *bytes.Buffer) error {
	out.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			out.WriteByte(',')
		}
		if isPlain(f.name) {
			fmt.Fprintf(out, "\"%s\":", f.name)
		} else if name, err := marshal(f.name); err == nil {
			fmt.Fprintf(out, "%s:", name)
		} else {
			return err
		}
		out.Write(f.value)
	}
	out.WriteByte('}')
	return nil
}

// isPlain reports whether a text stands for itself in JSON, as most names do.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// marshal is json.Marshal without the escapes for HTML.
func marshal(value any) (json.RawMessage, error) {
	if o, ok := value.(object); ok {
		var out bytes.Buffer
		err := o.write(&out)
		return out.Bytes(), err
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// must writes texts, numbers, and what is made of them, which can be written.
func must(value any) json.RawMessage {
	text, err := marshal(value)
	if err != nil {
		panic(err)
	}
	return text
}

// isObject reports whether a value is an object.
func isObject(value json.RawMessage) bool { return len(value) > 0 && value[0] == '{' }

// texts keeps the members that are strings of an object; nil if there are
// none.
func texts(value json.RawMessage) object {
	kept := object(nil)
	for _, f := range members(value) {
		if f.value[0] == '"' && f.name != "__proto__" {
			kept = append(kept, f)
		}
	}
	return kept
}

// firstText is a text, or the member "name" or "type" of an object: how
// people, and licences of old, are written.
func firstText(value json.RawMessage, member string) string {
	var s string
	if json.Unmarshal(value, &s) == nil {
		return strings.TrimSpace(s)
	}
	return strings.TrimSpace(members(value).text(member))
}
