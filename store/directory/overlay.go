package directory

import (
	"maps"
	"slices"

	directoryv1 "github.com/postroad/postroad/proto/postroad/directory/v1"
)

// Overlay gives the configuration as it would be after want was applied to
// current, without a directory: what new objects lack is filled in, and all is
// checked by the rules of [Directory.Apply]. Recipients of both lists are left
// out. Nothing of the arguments is changed; unchanged objects are shared.
func Overlay(current, want []*directoryv1.Object) ([]*directoryv1.Object, error) {
	config := make(map[Key]*directoryv1.Object, len(current)+len(want))
	for _, o := range current {
		if KindOf(o) != KindRecipient {
			config[KeyOf(o)] = o
		}
	}
	for _, o := range want {
		if KindOf(o) == KindRecipient {
			continue
		}
		change, err := merge(o, config[KeyOf(o)])
		if err != nil {
			return nil, err
		}
		config[KeyOf(o)] = change.After
	}
	all := make([]*directoryv1.Object, 0, len(config))
	for _, k := range slices.SortedFunc(maps.Keys(config), compareKeys) {
		all = append(all, config[k])
	}
	c := newChecker(all)
	c.configuration()
	c.identities(all)
	return all, Invalid(c.sorted())
}
