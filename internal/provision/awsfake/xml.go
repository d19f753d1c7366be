package awsfake

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// CloudFront's XML has one element for each field, by its name, and lists whose
// entries stand in <Items>. The types of the SDK have the same names, so that
// this codec needs to know only how entries of lists are called.

// members are the names of entries where they are not the name of their type.
var members = map[string]string{
	"Aliases": "CNAME", "OriginSslProtocols": "SslProtocol", "StatusCodes": "StatusCode", "TrustedSigners": "AwsAccountNumber",
	"TrustedKeyGroups": "KeyGroup", "AllowedMethods": "Method", "CachedMethods": "Method", "CookieNames": "Name",
	"Headers": "Name", "QueryStringCacheKeys": "Name", "QueryStringNames": "Name", "GeoRestriction": "Location",
	"CustomHeaders": "OriginCustomHeader", "TestResult": "member",
}

var timeType = reflect.TypeFor[time.Time]()

// encode writes a value of the SDK's types as a document.
func encode(root string, v any) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	encodeValue(&b, root, ` xmlns="http://cloudfront.amazonaws.com/doc/2020-05-31/"`, "", reflect.ValueOf(v))
	return b.Bytes()
}

func encodeValue(b *bytes.Buffer, name, attributes, parent string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			encodeValue(b, name, attributes, parent, v.Elem())
		}
		return
	case reflect.Slice:
		if v.Len() == 0 {
			return
		}
		member := v.Type().Elem().Name()
		if m, ok := members[parent]; ok {
			member = m
		}
		fmt.Fprintf(b, "<%s>", name)
		for i := range v.Len() {
			encodeValue(b, member, "", "", v.Index(i))
		}
		fmt.Fprintf(b, "</%s>", name)
		return
	case reflect.Struct:
		if v.Type() == timeType {
			break
		}
		fmt.Fprintf(b, "<%s%s>", name, attributes)
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				encodeValue(b, f.Name, "", v.Type().Name(), v.Field(i))
			}
		}
		fmt.Fprintf(b, "</%s>", name)
		return
	case reflect.String:
		if v.Type().Name() != "string" && v.Len() == 0 {
			return // an enumeration that is not set
		}
	default:
	}
	fmt.Fprintf(b, "<%s>", name)
	text := fmt.Sprint(v.Interface())
	if t, ok := v.Interface().(time.Time); ok {
		text = t.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	_ = xml.EscapeText(b, []byte(text))
	fmt.Fprintf(b, "</%s>", name)
}

// element is a parsed document.
type element struct {
	name     string
	text     string
	children []*element
}

// decode reads a document into a value of the SDK's types. A name that it does
// not know is an error, as it is to AWS.
func decode(doc []byte, root string, into any) error {
	e, err := parseXML(doc)
	if err != nil {
		return err
	}
	if e.name != root {
		return fmt.Errorf("the document is a %s and not a %s", e.name, root)
	}
	return decodeValue(e, reflect.ValueOf(into).Elem())
}

func parseXML(doc []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(doc))
	top := &element{}
	stack := []*element{top}
	for {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("parse the XML: %w", err)
		}
		last := stack[len(stack)-1]
		switch t := t.(type) {
		case xml.StartElement:
			e := &element{name: t.Name.Local}
			last.children = append(last.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			last.text += string(t)
		}
	}
	if len(top.children) != 1 {
		return nil, fmt.Errorf("the XML has no root")
	}
	return top.children[0], nil
}

func decodeValue(e *element, v reflect.Value) error {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return decodeValue(e, v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b, err := base64.StdEncoding.DecodeString(e.text)
			if err != nil {
				return fmt.Errorf("%s is not base64: %w", e.name, err)
			}
			v.SetBytes(b)
			return nil
		}
		v.Set(reflect.MakeSlice(v.Type(), len(e.children), len(e.children)))
		for i, child := range e.children {
			if err := decodeValue(child, v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Struct:
		for _, child := range e.children {
			f := v.FieldByName(child.name)
			if !f.IsValid() || !f.CanSet() {
				return fmt.Errorf("%s has no %s", e.name, child.name)
			}
			if err := decodeValue(child, f); err != nil {
				return err
			}
		}
		return checkQuantity(e, v)
	case reflect.String:
		v.SetString(e.text)
	case reflect.Bool:
		b, err := strconv.ParseBool(strings.TrimSpace(e.text))
		if err != nil {
			return fmt.Errorf("%s is not true or false: %q", e.name, e.text)
		}
		v.SetBool(b)
	case reflect.Int32, reflect.Int64:
		n, err := strconv.ParseInt(strings.TrimSpace(e.text), 10, 64)
		if err != nil {
			return fmt.Errorf("%s is no number: %q", e.name, e.text)
		}
		v.SetInt(n)
	default:
		return fmt.Errorf("%s: cannot read a %s", e.name, v.Kind())
	}
	return nil
}

// checkQuantity refuses a list whose Quantity is not the number of its entries.
func checkQuantity(e *element, v reflect.Value) error {
	quantity, items := v.FieldByName("Quantity"), v.FieldByName("Items")
	if !quantity.IsValid() || !items.IsValid() {
		return nil
	}
	if quantity.IsNil() || quantity.Elem().Int() != int64(items.Len()) {
		return fmt.Errorf("the Quantity of %s is not the number of its items, %d", e.name, items.Len())
	}
	return nil
}
