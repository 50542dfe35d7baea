package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// A column of a table. On a terminal that is too narrow it is shortened to min
// characters (0: never), and left out when that is not enough and yields is not 0:
// the highest first.
type column struct {
	title  string
	min    int
	yields int
}

// table prints rows in aligned columns that fit the terminal. Where the output is no
// terminal everything is printed in full: programs read it.
type table struct {
	w       io.Writer
	width   int // of the terminal; 0: there is none
	columns []column
	rows    [][]string
	titled  bool
}

const columnGap = 2

func (p *process) newTable(columns []column) *table {
	return &table{w: p.stdout, width: terminalWidth(p.stdout), columns: columns}
}

// terminalWidth is 0 where w is no terminal.
func terminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width == 0 { // the terminal has not been told how wide it is
		return 80
	}
	return width
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// flush prints the rows since the last one, and the titles for the first time.
func (t *table) flush() error {
	rows := t.rows
	t.rows = nil
	if !t.titled {
		t.titled = true
		titles := make([]string, len(t.columns))
		for i, c := range t.columns {
			titles[i] = c.title
		}
		rows = append([][]string{titles}, rows...)
	}
	widths := t.widths(rows)
	var b strings.Builder
	for _, row := range rows {
		b.WriteString(line(row, widths))
	}
	_, err := io.WriteString(t.w, b.String())
	if err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

// line is a row; a width below 0 leaves the column out.
func line(row []string, widths []int) string {
	var b strings.Builder
	pad := 0
	for i, cell := range row {
		if widths[i] < 0 {
			continue
		}
		cell = shorten(cell, widths[i])
		b.WriteString(strings.Repeat(" ", pad) + cell)
		pad = widths[i] - utf8.RuneCountInString(cell) + columnGap
	}
	return strings.TrimRight(b.String(), " ") + "\n"
}

// shorten marks what is missing at the end.
func shorten(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}

// widths are those of the columns: as wide as their cells, or less.
func (t *table) widths(rows [][]string) []int {
	full := make([]int, len(t.columns))
	for _, row := range rows {
		for i, cell := range row {
			full[i] = max(full[i], utf8.RuneCountInString(cell))
		}
	}
	if t.width == 0 {
		return full
	}
	left := make([]bool, len(full))
	for {
		widths, over := t.shrink(full, left)
		if over <= 0 || !t.leaveOut(left) {
			return widths
		}
	}
}

// shrink takes from the columns that yield first, and says by how much the row is
// still too wide.
func (t *table) shrink(full []int, left []bool) (widths []int, over int) {
	widths = make([]int, len(full))
	over = -columnGap - t.width
	most := 0
	for i, w := range full {
		widths[i] = -1
		if !left[i] {
			widths[i] = w
			over += w + columnGap
			most = max(most, t.columns[i].yields)
		}
	}
	for yields := most; yields >= 0; yields-- {
		for i := len(widths) - 1; i >= 0; i-- {
			c := t.columns[i]
			if over <= 0 || left[i] || c.yields != yields || c.min == 0 || widths[i] <= c.min {
				continue
			}
			less := min(over, widths[i]-c.min)
			widths[i] -= less
			over -= less
		}
	}
	return widths, over
}

// leaveOut leaves one more column out, if one may be.
func (t *table) leaveOut(left []bool) bool {
	most := -1
	for i, c := range t.columns {
		if !left[i] && c.yields > 0 && (most < 0 || c.yields > t.columns[most].yields) {
			most = i
		}
	}
	if most < 0 {
		return false
	}
	left[most] = true
	return true
}
