//go:build race

package leaked_test

const raceDetector = true
