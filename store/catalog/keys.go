package catalog

import "github.com/postroad/postroad/store/directory"

// Prefixes; doc.go says what lies below them. Configuration and recipients are
// neighbours, in the order in which a snapshot brings them.
const (
	addressPrefix   = "a/"
	configPrefix    = "c/"
	recipientPrefix = "r/"
	memberPrefix    = "m/"
)

func stateKey() []byte                       { return []byte("s/state") }
func addressPath(key string) []byte          { return []byte(addressPrefix + key) }
func memberPath(member, group string) []byte { return []byte(memberPrefix + member + "/" + group) }
func recipientPath(name string) []byte       { return []byte(recipientPrefix + name) }

func objectPath(k directory.Key) []byte {
	if k.Kind == directory.KindRecipient {
		return recipientPath(k.Name)
	}
	return []byte(configPrefix + k.Kind + "/" + k.Name)
}

// keyRange is the half open range of keys with a prefix, which ends in "/".
func keyRange(prefix string) (lower, upper []byte) {
	upper = []byte(prefix)
	upper[len(upper)-1]++
	return []byte(prefix), upper
}
