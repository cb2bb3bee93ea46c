package directory

import (
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Action is what a change does to an object.
type Action = directoryv1.Action

// Change is one object before and after; Before is nil for a new object, After
// for a deleted one.
type Change struct {
	Action        Action
	Before, After *directoryv1.Object
}

// merge makes the object that shall be stored out of the one that was asked for
// and the one that is there (or nil). It fails with ErrConflict when the asker
// has seen another revision than the current one.
func merge(want, current *directoryv1.Object) (Change, error) {
	next := proto.CloneOf(want)
	if next.Metadata == nil {
		next.Metadata = &directoryv1.Metadata{}
	}
	meta, key := next.Metadata, KeyOf(next)
	meta.Kind = key.Kind
	if seen := meta.GetRevision(); seen != 0 && seen != current.GetMetadata().GetRevision() {
		return Change{}, fmt.Errorf("%s: %w (revision %d was read, %d is current)",
			key, ErrConflict, seen, current.GetMetadata().GetRevision())
	}
	meta.Revision = current.GetMetadata().GetRevision()
	if err := mergeGUID(meta, current); err != nil {
		return Change{}, err
	}
	if a := next.GetAccount(); a != nil {
		if err := mergePassword(a, current.GetAccount()); err != nil {
			return Change{}, Invalid([]Problem{{key.Kind, key.Name, "password", err.Error() + "; choose another"}})
		}
	}
	switch {
	case current == nil:
		return Change{directoryv1.Action_ACTION_CREATED, nil, next}, nil
	case proto.Equal(current, next):
		return Change{directoryv1.Action_ACTION_UNCHANGED, current, current}, nil
	}
	return Change{directoryv1.Action_ACTION_CHANGED, current, next}, nil
}

func mergeGUID(meta *directoryv1.Metadata, current *directoryv1.Object) error {
	if meta.GetGuid() != "" {
		g, err := ParseGUID(meta.GetGuid())
		if err != nil {
			return Invalid([]Problem{{meta.GetKind(), meta.GetName(), "guid", err.Error() + "; leave it out to get one"}})
		}
		meta.Guid = g.String()
	}
	switch has := current.GetMetadata().GetGuid(); {
	case current == nil && meta.GetGuid() == "":
		meta.Guid = uuid.NewString()
	case current == nil || meta.GetGuid() == has:
	case meta.GetGuid() == "":
		meta.Guid = has
	default:
		return Invalid([]Problem{{
			meta.GetKind(), meta.GetName(), "guid",
			fmt.Sprintf("is %s and never changes; leave it out, or delete the object first", has),
		}})
	}
	return nil
}

// mergePassword replaces a password by keys. The same password keeps the keys,
// so that applying a file again changes nothing; no password at all keeps them too.
func mergePassword(a, current *directoryv1.Account) error {
	password := a.GetPassword()
	a.Password = ""
	switch {
	case password == "" && a.GetKeys() == nil:
		a.Keys = current.GetKeys()
	case password == "":
	case current.GetKeys() != nil && VerifyPassword(current.GetKeys(), password):
		a.Keys = current.GetKeys()
	default:
		keys, err := HashPassword(password)
		if err != nil {
			return err
		}
		a.Keys = keys
	}
	return nil
}
