// Package draw renders the map of an organisation: as text with boxes, as dot for
// Graphviz, as a Mermaid flowchart, and as SVG that it lays out itself. It is
// pure: the same map always gives the same octets.
//
// # The layout of the SVG
//
// Groups and the places outside are boxes, connectors are arrows. The distance
// wanted between two boxes is the number of arrows between them, a hub's counting
// more; stress
// majorization (Gansner, Koren, North 2004) brings all distances as near to that
// as a plane allows. It is begun from several circles, and the result with the
// fewest crossings is taken. Then overlapping boxes are pushed apart and
// positions rounded to a grid. Two directions of a link that say the same are one
// line with two heads, straight where it can be. Other arrows bend to the right of
// their direction, so that the two do not cover each other, and further where a
// box is in the way; labels stand where on the arrow they hide least.
package draw
