// Package scenarios holds organisations to try Postroad with.
package scenarios

import _ "embed"

// ThreeSites is the organisation of `postroad up`: three routing groups in a
// triangle, five servers.
//
//go:embed three-sites.yaml
var ThreeSites []byte
