package directory

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// appendYAML writes a block mapping at the given depth. It is small because the
// tree is: blocks, lists of scalars or blocks, scalars on one line.
func appendYAML(b []byte, m mapping, depth int) []byte {
	pad := strings.Repeat("  ", depth)
	for i, p := range m {
		// The first key of a list entry stands right behind its dash.
		if i > 0 || depth == 0 || len(b) == 0 || b[len(b)-1] == '\n' {
			b = append(b, pad...)
		}
		b = append(b, p.key+":"...)
		switch v := p.value.(type) {
		case mapping:
			if len(v) == 0 {
				b = append(b, " {}\n"...)
				continue
			}
			b = appendYAML(append(b, '\n'), v, depth+1)
		case []any:
			b = append(b, '\n')
			for _, item := range v {
				b = append(append(b, pad...), "- "...)
				if sub, ok := item.(mapping); ok && len(sub) > 0 {
					b = appendYAML(b, sub, depth+1)
				} else {
					b = append(append(b, scalar(item)...), '\n')
				}
			}
		default:
			b = append(append(append(b, ' '), scalar(v)...), '\n')
		}
	}
	return b
}

func scalar(v any) string {
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	case string:
		return yamlString(v)
	}
	return "{}" // a message without fields, as a list entry
}

// yamlString writes text plain or quoted, always on one line. The library
// decides which plain texts YAML would take for something else; what it would
// spread over lines is written with escapes, all of which YAML has too.
func yamlString(s string) string {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return strconv.QuoteToASCII(s)
		}
	}
	out, err := yaml.Marshal(s)
	text := strings.TrimSuffix(string(out), "\n")
	if err != nil || strings.Contains(text, "\n") {
		return strconv.QuoteToASCII(s)
	}
	return text
}

// MarshalJSON keeps the order of the fields.
func (m mapping) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(p.key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(p.value)
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
