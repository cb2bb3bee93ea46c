package directory

import (
	"cmp"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Pressure gives a server's thresholds with the defaults in place of what it does
// not say. b may be nil.
func Pressure(b *directoryv1.BackPressure) *directoryv1.BackPressure {
	return &directoryv1.BackPressure{
		DiskSizeMedium: cmp.Or(b.GetDiskSizeMedium(), 2<<30),
		DiskSizeHigh:   cmp.Or(b.GetDiskSizeHigh(), 512<<20),
		InodesMedium:   cmp.Or(b.GetInodesMedium(), 5),
		InodesHigh:     cmp.Or(b.GetInodesHigh(), 2),
		MemoryMedium:   cmp.Or(b.GetMemoryMedium(), 75),
		MemoryHigh:     cmp.Or(b.GetMemoryHigh(), 85),
		MessagesMedium: cmp.Or(b.GetMessagesMedium(), 750_000),
		MessagesHigh:   cmp.Or(b.GetMessagesHigh(), 1_000_000),
	}
}
