package directory

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// DecodeYAML reads objects in the written form, one YAML document each:
//
//	kind: RoutingGroup
//	name: paris
//	spec:
//	  description: Head office
//
// "guid" and "revision" may stand beside the name. Field names are those of the
// schema, in camelCase or snake_case; times are written "10m", sizes "10MiB",
// enumeration values "hold", address spaces "SMTP:*.net;10". Empty documents are
// passed over. Errors carry name (usually the file's), the number of the
// document from 1, the object and the field; all of them are joined, so that one
// run shows every mistake.
func DecodeYAML(r io.Reader, name string) ([]*directoryv1.Object, error) {
	docs, err := splitDocuments(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var objs []*directoryv1.Object
	var errs []error
	for i, doc := range docs {
		o, err := decodeDocument(doc)
		if err != nil {
			for _, e := range unjoin(err) {
				errs = append(errs, fmt.Errorf("%s: document %d: %w", name, i+1, e))
			}
		} else if o != nil {
			objs = append(objs, o)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return objs, nil
}

func unjoin(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// splitDocuments cuts at lines that are a document marker (YAML 1.1 section
// 9.1). Each document gets blank lines in front so that the line numbers in
// syntax errors are those of the file.
func splitDocuments(r io.Reader) ([][]byte, error) {
	var docs [][]byte
	var doc bytes.Buffer
	in := bufio.NewReader(r)
	for line := 1; ; line++ {
		text, err := in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return nil, err
		}
		if isMarker(text) {
			// What follows the marker on its line belongs to the next document.
			if len(bytes.TrimSpace(doc.Bytes())) > 0 || len(docs) > 0 {
				docs = append(docs, bytes.Clone(doc.Bytes()))
			}
			doc.Reset()
			doc.WriteString(strings.Repeat("\n", line-1))
			text = append([]byte("   "), text[3:]...)
		}
		doc.Write(text)
		if err == io.EOF {
			return append(docs, doc.Bytes()), nil
		}
	}
}

func isMarker(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || strings.IndexByte(" \t\r\n", rest[0]) >= 0)
}

func decodeDocument(doc []byte) (*directoryv1.Object, error) {
	text, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return nil, fmt.Errorf("is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // int64 does not survive a float64
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("is not YAML: %w", err)
	}
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return decodeObject(v)
	}
	return nil, errors.New("must have the fields kind, name and spec")
}

func decodeObject(m map[string]any) (*directoryv1.Object, error) {
	d := decoder{}
	d.kind, _ = m["kind"].(string)
	d.name, _ = m["name"].(string)
	o := &directoryv1.Object{Metadata: &directoryv1.Metadata{}}
	d.header(m, o.Metadata)
	spec := specField(d.kind)
	if spec == nil {
		d.fail("kind", "must be one of %s", strings.Join(Kinds(), ", "))
		return nil, errors.Join(d.errs...)
	}
	// An empty spec is a spec: a routing group needs nothing.
	msg := o.ProtoReflect().Mutable(spec).Message()
	switch v := m["spec"].(type) {
	case nil:
	case map[string]any:
		d.message("", msg, v)
	default:
		d.fail("spec", "must be a block of fields")
	}
	if len(d.errs) > 0 {
		return nil, errors.Join(d.errs...)
	}
	splitBridgeheads(o)
	return o, nil
}

func (d *decoder) header(m map[string]any, meta *directoryv1.Metadata) {
	fields := meta.ProtoReflect()
	names := []string{"kind", "name", "guid", "revision"}
	for _, key := range sortedKeys(m) {
		if key == "spec" {
			continue
		}
		if !slices.Contains(names, key) {
			d.fail(key, "there is no such field; a document has kind, name, guid, revision and spec")
			continue
		}
		fd := fields.Descriptor().Fields().ByJSONName(key)
		d.field(key, fields, fd, m[key])
	}
	if d.name == "" {
		d.fail("name", "is missing; give the object a name in quotes or plain text")
	}
}
