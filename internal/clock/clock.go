// Package clock tells the time of day. What measures how long something takes
// calls time.Now instead, which nobody sets.
//
// It is a package so that tests can run the whole server with a clock that is
// wrong: the build tag clockoffset adds the offset in the file that the
// environment variable PACKAGECLOUD_CLOCK_OFFSET names. No released program has it.
package clock
