// Package health finds what is wrong with a node and its containers in an api.Status,
// for status, top and the page.
//
// # Guarantees
//
//   - [Problems] has the worst problems first, and names at most maxAffected containers
//     of each. [Container] has the worst finding first.
//   - Texts of the daemon (names, errors, annotations) are not escaped: a writer does
//     that.
//
// There is nothing to stop, and nothing blocks.
package health
