package directory

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
)

// decoder fills one object from a tree of JSON values and collects what is
// wrong with it. It walks the schema, so a new field needs no code here.
type decoder struct {
	kind, name string
	errs       []error
}

func (d *decoder) fail(path, format string, args ...any) {
	d.errs = append(d.errs, Problem{d.kind, d.name, path, fmt.Sprintf(format, args...)})
}

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

func (d *decoder) message(path string, msg protoreflect.Message, m map[string]any) {
	set := map[protoreflect.FieldDescriptor]string{}
	oneofs := map[protoreflect.OneofDescriptor]string{}
	fields := msg.Descriptor().Fields()
	for _, key := range sortedKeys(m) {
		at := join(path, key)
		fd := fields.ByJSONName(key)
		if fd == nil {
			fd = fields.ByTextName(key)
		}
		if fd == nil {
			d.fail(at, "there is no such field; there are %s", fieldNames(fields))
			continue
		}
		if m[key] == nil {
			continue // "field:" without a value leaves it out
		}
		if other, twice := set[fd]; twice {
			d.fail(at, "is the same field as %s", other)
			continue
		}
		set[fd] = key
		// The only oneof with a single member is what "optional" becomes.
		if of := fd.ContainingOneof(); of != nil && !of.IsSynthetic() {
			if other, twice := oneofs[of]; twice {
				d.fail(at, "excludes %s; keep one of them", other)
				continue
			}
			oneofs[of] = key
		}
		d.field(at, msg, fd, m[key])
	}
}

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}

func fieldNames(fields protoreflect.FieldDescriptors) string {
	if fields.Len() == 0 {
		return "none"
	}
	names := make([]string, fields.Len())
	for i := range names {
		names[i] = fields.Get(i).JSONName()
	}
	return strings.Join(names, ", ")
}

func (d *decoder) field(path string, msg protoreflect.Message, fd protoreflect.FieldDescriptor, v any) {
	if !fd.IsList() {
		if val, ok := d.value(path, fd, v, func() protoreflect.Value { return msg.NewField(fd) }); ok {
			msg.Set(fd, val)
		}
		return
	}
	items, ok := v.([]any)
	if !ok {
		d.fail(path, `must be a list; put "- " in front of each entry`)
		return
	}
	list := msg.Mutable(fd).List()
	for i, item := range items {
		if val, ok := d.value(fmt.Sprintf("%s[%d]", path, i), fd, item, list.NewElement); ok {
			list.Append(val)
		}
	}
}

// value converts one value; empty makes a new message for fields that need one.
func (d *decoder) value(path string, fd protoreflect.FieldDescriptor, v any, empty func() protoreflect.Value) (protoreflect.Value, bool) {
	var val protoreflect.Value
	var err error
	switch fd.Kind() {
	case protoreflect.MessageKind:
		val = empty()
		return val, d.submessage(path, val.Message(), v)
	case protoreflect.StringKind:
		val, err = textValue(v)
	case protoreflect.BytesKind:
		val, err = bytesValue(v)
	case protoreflect.BoolKind:
		b, ok := v.(bool)
		val = protoreflect.ValueOfBool(b)
		if !ok {
			err = fmt.Errorf("must be true or false")
		}
	case protoreflect.EnumKind:
		val, err = enumValue(fd.Enum(), v)
	case protoreflect.Int32Kind:
		var n int64
		n, err = intValue(v, math.MinInt32, math.MaxInt32)
		val = protoreflect.ValueOfInt32(int32(n))
	case protoreflect.Int64Kind:
		var n int64
		if s, ok := v.(string); ok && isSize(fd) {
			n, err = parseSize(s)
		} else {
			n, err = intValue(v, math.MinInt64, math.MaxInt64)
		}
		val = protoreflect.ValueOfInt64(n)
	default:
		err = fmt.Errorf("has the type %s, which the written form does not know", fd.Kind())
	}
	if err != nil {
		d.fail(path, "%s", err)
	}
	return val, err == nil
}

func (d *decoder) submessage(path string, msg protoreflect.Message, v any) bool {
	before := len(d.errs)
	text, isText := v.(string)
	switch {
	case msg.Descriptor().FullName() == "google.protobuf.Duration":
		dur, err := parseDuration(text)
		if err != nil || !isText {
			d.fail(path, "%s", errDuration)
			return false
		}
		proto := durationpb.New(dur).ProtoReflect()
		proto.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			msg.Set(fd, v)
			return true
		})
	case isText && msg.Descriptor().Name() == "AddressSpace":
		as, err := ParseAddressSpace(text)
		if err != nil {
			d.fail(path, "%s", err)
			return false
		}
		as.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			msg.Set(fd, v)
			return true
		})
	default:
		m, ok := v.(map[string]any)
		if !ok {
			d.fail(path, "must be a block of fields: %s", fieldNames(msg.Descriptor().Fields()))
			return false
		}
		d.message(path, msg, m)
	}
	return len(d.errs) == before
}

// isSize says whether an int64 counts octets and so may be written "10MiB".
func isSize(fd protoreflect.FieldDescriptor) bool {
	return fd.Kind() == protoreflect.Int64Kind && strings.Contains(string(fd.Name()), "size")
}

func textValue(v any) (protoreflect.Value, error) {
	s, ok := v.(string)
	if !ok {
		// YAML takes y, on, no, 12 and 1.5 for something else than text.
		return protoreflect.Value{}, fmt.Errorf("must be text, which YAML reads as %v; put it into quotes", v)
	}
	if !utf8.ValidString(s) {
		return protoreflect.Value{}, fmt.Errorf("must be valid UTF-8")
	}
	return protoreflect.ValueOfString(s), nil
}

func bytesValue(v any) (protoreflect.Value, error) {
	s, ok := v.(string)
	b, err := base64.StdEncoding.DecodeString(s)
	if !ok || err != nil {
		return protoreflect.Value{}, fmt.Errorf("must be base64 text")
	}
	return protoreflect.ValueOfBytes(b), nil
}

func intValue(v any, low, high int64) (int64, error) {
	n, ok := v.(json.Number)
	i, err := strconv.ParseInt(n.String(), 10, 64)
	if !ok || err != nil || i < low || i > high {
		return 0, fmt.Errorf("must be a whole number from %d to %d", low, high)
	}
	return i, nil
}

func enumValue(ed protoreflect.EnumDescriptor, v any) (protoreflect.Value, error) {
	s, _ := v.(string)
	values := ed.Values()
	var known []string
	for i := range values.Len() {
		short := enumText(ed, values.Get(i))
		if s != "" && (strings.EqualFold(s, string(values.Get(i).Name())) ||
			strings.EqualFold(strings.ReplaceAll(s, "_", "-"), short)) {
			return protoreflect.ValueOfEnum(values.Get(i).Number()), nil
		}
		if values.Get(i).Number() != 0 {
			known = append(known, short)
		}
	}
	return protoreflect.Value{}, fmt.Errorf("must be one of %s", strings.Join(known, ", "))
}

// enumText is the written form of an enumeration value: FALLBACK_LESS_SPECIFIC
// is "less-specific". The schema's lint rule guarantees the prefix, which is
// what all names up to that of the zero value have in common.
func enumText(ed protoreflect.EnumDescriptor, v protoreflect.EnumValueDescriptor) string {
	prefix := strings.TrimSuffix(string(ed.Values().ByNumber(0).Name()), "UNSPECIFIED")
	short := strings.TrimPrefix(string(v.Name()), prefix)
	return strings.ToLower(strings.ReplaceAll(short, "_", "-"))
}
