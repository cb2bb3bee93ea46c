package pickup

import (
	"io/fs"
	"os"
	"path/filepath"
)

// clear deletes the files of a message that was accepted. As long as that fails (a folder
// that became read-only) taken knows the message: it would be sent once more each second.
func (p *Pickup) clear(names []string) error {
	// The envelope file goes first: without it there is no message.
	for _, n := range names {
		if err := os.Remove(filepath.Join(p.c.Dir, n)); err != nil {
			return err
		}
		delete(p.taken, n)
	}
	// Durable, or the message would come again after a power cut.
	return syncFolder(p.c.Dir)
}

// same says whether two looks at a name have met one file, unchanged; a is nil if there was
// no look before.
func same(a, b fs.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
