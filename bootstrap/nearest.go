package bootstrap

import (
	"slices"
	"sort"
)

// Nearest returns names, those first that are most like name.
func Nearest(name string, names []string) []string {
	near := slices.Clone(names)
	sort.SliceStable(near, func(i, j int) bool { return distance(near[i], name) < distance(near[j], name) })
	return near
}

// Meant returns the one of names that name may be a slip of, "" if it is like none.
func Meant(name string, names []string) string {
	near := Nearest(name, names)
	if len(near) == 0 || distance(near[0], name) > max(1, len(name)/3) {
		return ""
	}
	return near[0]
}

// distance is the Levenshtein distance of two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
