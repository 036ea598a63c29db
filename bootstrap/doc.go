// Package bootstrap is the engine: what a step is, in which order steps run, and
// what is remembered of them. It knows no step and no distribution.
//
// A run goes through the Graph of steps. For each it asks Plan what would
// change, writes that down in the Journal, calls Apply, and asks Plan again,
// which must then find nothing left. Whatever happens is told to a Sink as an
// Event.
package bootstrap
