// Package display formats text, sizes and times for people, in one way for all commands
// and the page (ui/text.js has the same).
//
// Texts from outside (names of pods and files, annotations, errors) are hostile input:
// [Escape] makes them safe for one line on a terminal.
package display
