package directory

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Object is one entry of the directory.
type Object = directoryv1.Object

// Kinds of objects.
const (
	KindOrganization          = "Organization"
	KindRoutingGroup          = "RoutingGroup"
	KindServer                = "Server"
	KindVirtualServer         = "VirtualServer"
	KindRoutingGroupConnector = "RoutingGroupConnector"
	KindSMTPConnector         = "SMTPConnector"
	KindForeignConnector      = "ForeignConnector"
	KindRecipientPolicy       = "RecipientPolicy"
	KindRecipient             = "Recipient"
	KindMessageFilter         = "MessageFilter"
	KindMessageFormat         = "MessageFormat"
	KindAccount               = "Account"
	KindSchedule              = "Schedule"
	KindMailRule              = "MailRule"
)

// Kinds lists all kinds in the order of the schema, in which each kind mostly
// refers to the ones before it.
func Kinds() []string {
	fields := specOneof().Fields()
	kinds := make([]string, fields.Len())
	for i := range kinds {
		kinds[i] = string(fields.Get(i).Message().Name())
	}
	return kinds
}

// IsKind says whether kind is one of [Kinds], written exactly so.
func IsKind(kind string) bool { return slices.Contains(Kinds(), kind) }

// KindOf names the kind of the object's spec; "" without a spec.
func KindOf(o *Object) string {
	fd := o.ProtoReflect().WhichOneof(specOneof())
	if fd == nil {
		return ""
	}
	return string(fd.Message().Name())
}

func specOneof() protoreflect.OneofDescriptor {
	return (*Object)(nil).ProtoReflect().Descriptor().Oneofs().ByName("spec")
}

// specField is the field of Object that holds specs of the kind; nil if there is none.
func specField(kind string) protoreflect.FieldDescriptor {
	fields := specOneof().Fields()
	for i := range fields.Len() {
		if string(fields.Get(i).Message().Name()) == kind {
			return fields.Get(i)
		}
	}
	return nil
}

// Key names an object: names are unique within a kind.
type Key struct{ Kind, Name string }

// String is "Kind/name".
func (k Key) String() string { return k.Kind + "/" + k.Name }

// KeyOf is the key of an object; its kind is that of the spec.
func KeyOf(o *Object) Key { return Key{KindOf(o), o.GetMetadata().GetName()} }
