package directory

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"pgregory.net/rapid"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Whatever the schema can say, the written form can say, and says it back.
func TestWrittenFormRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(drawObject), 0, 4).Draw(t, "objects")
		var text bytes.Buffer
		if err := EncodeYAML(&text, want); err != nil {
			t.Fatal(err)
		}
		got, err := DecodeYAML(bytes.NewReader(text.Bytes()), "t")
		if err != nil {
			t.Fatalf("%v\n%s", err, text.String())
		}
		if len(got) != len(want) {
			t.Fatalf("%d objects, want %d\n%s", len(got), len(want), text.String())
		}
		for i := range got {
			if want[i].Metadata.Kind = KindOf(want[i]); !proto.Equal(got[i], want[i]) {
				t.Fatalf("got %v\nwant %v\n%s", got[i], want[i], text.String())
			}
		}
	})
}

func drawObject(t *rapid.T) *directoryv1.Object {
	o := &directoryv1.Object{Metadata: &directoryv1.Metadata{
		Name:     rapid.StringN(1, 20, -1).Draw(t, "name"),
		Guid:     rapid.SampledFrom([]string{"", "00000000-0000-4000-8000-000000000001"}).Draw(t, "guid"),
		Revision: rapid.Int64().Draw(t, "revision"),
	}}
	kind := rapid.SampledFrom(Kinds()).Draw(t, "kind")
	drawMessage(t, o.ProtoReflect().Mutable(specField(kind)).Message())
	return o
}

// drawMessage fills any subset of the fields.
func drawMessage(t *rapid.T, msg protoreflect.Message) {
	switch m := msg.Interface().(type) {
	case *durationpb.Duration:
		proto.Merge(m, durationpb.New(time.Duration(rapid.Int64().Draw(t, "duration"))))
		return
	case *directoryv1.AddressSpace:
		m.Type = rapid.SampledFrom([]string{"", "SMTP", "a:b", "X400"}).Draw(t, "type")
		m.Pattern = rapid.SampledFrom([]string{"", "*", "*.net", "c=us;5", ";", "a;b"}).Draw(t, "pattern")
		m.Cost = rapid.Int32().Draw(t, "cost")
		return
	}
	fields := msg.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if !rapid.Bool().Draw(t, string(fd.Name())) {
			continue
		}
		if !fd.IsList() {
			v := msg.NewField(fd)
			msg.Set(fd, drawValue(t, fd, v))
			continue
		}
		list := msg.Mutable(fd).List()
		for range rapid.IntRange(1, 3).Draw(t, "length") {
			list.Append(drawValue(t, fd, list.NewElement()))
		}
	}
}

func drawValue(t *rapid.T, fd protoreflect.FieldDescriptor, empty protoreflect.Value) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.MessageKind:
		drawMessage(t, empty.Message())
		return empty
	case protoreflect.StringKind:
		text := rapid.OneOf(
			rapid.String(),
			rapid.SampledFrom([]string{"yes", "null", "~", "12", "1e3", "- a", "a: b", "#", "a\nb", " x ", "\x00", "22:00", "<<", "|", "é"}),
		).Draw(t, "text")
		if fd.Name() == "local_bridgeheads" {
			text = strings.ReplaceAll(text, "/", "") // there it says who the virtual server is
		}
		return protoreflect.ValueOfString(text)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(rapid.SliceOfN(rapid.Byte(), 1, 10).Draw(t, "bytes"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.EnumKind:
		n := rapid.IntRange(0, fd.Enum().Values().Len()-1).Draw(t, "enum")
		return protoreflect.ValueOfEnum(fd.Enum().Values().Get(n).Number())
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
	}
	return protoreflect.ValueOfInt64(rapid.OneOf(rapid.Int64(),
		rapid.SampledFrom([]int64{1 << 20, 1500, 1000, math.MaxInt64, math.MinInt64})).Draw(t, "int64"))
}

// Any input is either refused or means something that can be written down.
func FuzzDecodeYAML(f *testing.F) {
	f.Add("kind: RoutingGroup\nname: a\n---\nkind: Server\nname: b\nspec: {routingGroup: a}\n")
	f.Add("kind: SMTPConnector\nname: a\nspec: {addressSpaces: ['SMTP:*;1', {pattern: x}], restrictions: {maxMessageSize: 5MB}}\n")
	f.Add("kind: Organization\nname: a\nspec: {linkState: {keepalive: 1h2m3s}}\n")
	f.Add("&a [*a]\n--- \n? x\n: y")
	f.Fuzz(func(t *testing.T, text string) {
		objs, err := DecodeYAML(bytes.NewReader([]byte(text)), "t")
		if err != nil {
			return
		}
		Validate(objs) // must not panic
		var out bytes.Buffer
		if err := EncodeYAML(&out, objs); err != nil {
			t.Fatal(err)
		}
		again, err := DecodeYAML(&out, "again")
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		requireEqual(t, objs, again)
	})
}
