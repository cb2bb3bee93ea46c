// Package verify judges what nodes know: whether they all know the same, where
// two of them differ, and whether the map they agree on can do its work. It is
// pure; whoever has asked the nodes hands over what they said.
package verify
