package directory

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// EncodeYAML writes objects in the form that [DecodeYAML] reads, fields in the
// order of the schema.
func EncodeYAML(w io.Writer, objs []*directoryv1.Object) error {
	for i, o := range objs {
		if i > 0 {
			if _, err := io.WriteString(w, "---\n"); err != nil {
				return err
			}
		}
		if _, err := w.Write(appendYAML(nil, document(o), 0)); err != nil {
			return fmt.Errorf("writing %s: %w", KeyOf(o), err)
		}
	}
	return nil
}

// EncodeJSON writes the same documents as an indented JSON array.
func EncodeJSON(w io.Writer, objs []*directoryv1.Object) error {
	list := make([]any, len(objs))
	for i, o := range objs {
		list[i] = document(o)
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// The written form as a tree: mapping, []any, string, bool, json.Number. Unlike
// a Go map, a mapping keeps the order of the schema.
type (
	mapping []pair
	pair    struct {
		key   string
		value any
	}
)

func document(o *directoryv1.Object) mapping {
	o = joinBridgeheads(o)
	meta := o.GetMetadata()
	m := mapping{{"kind", KindOf(o)}, {"name", meta.GetName()}}
	if meta.GetGuid() != "" {
		m = append(m, pair{"guid", meta.GetGuid()})
	}
	if meta.GetRevision() != 0 {
		m = append(m, pair{"revision", number(meta.GetRevision())})
	}
	if fd := o.ProtoReflect().WhichOneof(specOneof()); fd != nil {
		if spec := fields(o.ProtoReflect().Get(fd).Message()); len(spec) > 0 {
			m = append(m, pair{"spec", spec})
		}
	}
	return m
}

func number(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

func fields(msg protoreflect.Message) mapping {
	var m mapping
	fds := msg.Descriptor().Fields()
	for i := range fds.Len() {
		fd := fds.Get(i)
		if !msg.Has(fd) {
			continue
		}
		v := msg.Get(fd)
		if !fd.IsList() {
			m = append(m, pair{fd.JSONName(), written(fd, v)})
			continue
		}
		list := make([]any, v.List().Len())
		for j := range list {
			list[j] = written(fd, v.List().Get(j))
		}
		m = append(m, pair{fd.JSONName(), list})
	}
	return m
}

func written(fd protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		switch msg := v.Message().Interface().(type) {
		case *durationpb.Duration:
			return formatDuration(msg.AsDuration())
		case *directoryv1.AddressSpace:
			if text, ok := FormatAddressSpace(msg); ok {
				return text
			}
		}
		return fields(v.Message())
	case protoreflect.BytesKind:
		return base64.StdEncoding.EncodeToString(v.Bytes())
	case protoreflect.BoolKind:
		return v.Bool()
	case protoreflect.EnumKind:
		if ev := fd.Enum().Values().ByNumber(v.Enum()); ev != nil {
			return enumText(fd.Enum(), ev)
		}
		return number(int64(v.Enum()))
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		if text := formatSize(v.Int()); isSize(fd) && text != strconv.FormatInt(v.Int(), 10) {
			return text
		}
		return number(v.Int())
	}
	return v.String()
}
