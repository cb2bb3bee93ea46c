package directory

import (
	"fmt"

	"github.com/google/uuid"
)

// GUID is the identity of an object, which survives renaming. It converts
// freely to the GUID types of the other packages.
type GUID [16]byte

// String is the dashed lower-case form (RFC 9562 section 4).
func (g GUID) String() string { return uuid.UUID(g).String() }

// IsZero says whether the GUID names nothing.
func (g GUID) IsZero() bool { return g == GUID{} }

// ParseGUID reads the dashed form only.
func ParseGUID(s string) (GUID, error) {
	if len(s) == 36 {
		if u, err := uuid.Parse(s); err == nil && u != uuid.Nil {
			return GUID(u), nil
		}
	}
	return GUID{}, fmt.Errorf("GUID %q: must look like 01234567-89ab-cdef-0123-456789abcdef and not be zero", s)
}
