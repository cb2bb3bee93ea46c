// Package sim runs many link state machines in one goroutine on a network of
// its own making: frames are delayed, lost, doubled and overtake each other,
// links are cut in one direction or both, servers crash and come back with an
// old disk or none, clocks differ, the directory changes and reaches each
// server at another time.
//
// Everything that happens follows from the seed: the same seed gives the same
// run, event for event. Rules that must hold at any time are checked after each
// event; rules that must hold after quiet are checked by [World.Agreed].
package sim
