package top

import (
	"strings"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

func bind(keys, label, help string) key.Binding {
	return key.NewBinding(key.WithKeys(strings.Fields(keys)...), key.WithHelp(label, help))
}

// The keys. The help page lists them.
var (
	keyUp      = bind("up k", "↑ k", "the row above")
	keyDown    = bind("down j", "↓ j", "the row below")
	keyPageUp  = bind("pgup ctrl+b", "PgUp", "a page up")
	keyPageDn  = bind("pgdown ctrl+f space", "PgDn", "a page down")
	keyHome    = bind("home g", "Home g", "the first row, whatever its container")
	keyEnd     = bind("end G", "End G", "the last row")
	keyRate    = bind("r", "r", "sort by rate; again: reverse")
	keySize    = bind("s", "s", "sort by the live log's size")
	keyRotated = bind("o", "o", "sort by rotations")
	keyName    = bind("n", "n", "sort by name")
	keyProblem = bind("e", "e", "sort by problem")
	keyReverse = bind("R", "R", "reverse the order")
	keyFilter  = bind("/", "/", "filter by name")
	keyEnter   = bind("enter", "Enter", "details of the container")
	keyBack    = bind("esc backspace", "Esc", "back; in the list: clear the filter")
	keyHelp    = bind("? h f1", "?", "this page")
	keyStop    = bind("ctrl+z", "^Z", "suspend; fg resumes")
	keyQuit    = bind("q ctrl+c", "q ^C", "quit")

	allKeys = []key.Binding{
		keyUp, keyDown, keyPageUp, keyPageDn, keyHome, keyEnd, keyRate, keySize, keyRotated, keyName, keyProblem, keyReverse,
		keyFilter, keyEnter, keyBack, keyHelp, keyStop, keyQuit,
	}
)

// orders are the keys that sort.
var orders = []struct {
	key key.Binding
	by  order
}{{keyRate, byRate}, {keySize, bySize}, {keyRotated, byRotations}, {keyName, byName}, {keyProblem, byProblem}}

func (m *model) key(msg tea.KeyPressMsg) tea.Cmd {
	switch {
	case msg.String() == "ctrl+c":
		return tea.Quit
	case key.Matches(msg, keyStop):
		return suspend()
	case m.filtering:
		return m.typed(msg)
	case key.Matches(msg, keyQuit):
		return tea.Quit
	case key.Matches(msg, keyHelp) && m.page != helpPage:
		m.behind, m.page = m.page, helpPage
		m.pager.GotoTop()
		return nil
	case m.page != listPage:
		return m.pageKey(msg)
	}
	return m.listKey(msg)
}

// pageKey is for details and help.
func (m *model) pageKey(msg tea.KeyPressMsg) tea.Cmd {
	switch {
	case key.Matches(msg, keyBack, keyHelp) && m.page == helpPage:
		m.page = m.behind
		m.pager.GotoTop()
		return nil
	case key.Matches(msg, keyBack, keyEnter) && m.page == detailsPage:
		m.page = listPage
		return m.next()
	case key.Matches(msg, keyHome):
		m.pager.GotoTop()
	case key.Matches(msg, keyEnd):
		m.pager.GotoBottom()
	default:
		var cmd tea.Cmd
		m.pager, cmd = m.pager.Update(msg)
		return cmd
	}
	return nil
}

func (m *model) listKey(msg tea.KeyPressMsg) tea.Cmd {
	l, screen := &m.list, m.rowsHeight()
	switch {
	case key.Matches(msg, keyUp):
		l.move(l.cursor - 1)
	case key.Matches(msg, keyDown):
		l.move(l.cursor + 1)
	case key.Matches(msg, keyPageUp):
		l.move(l.cursor - screen)
	case key.Matches(msg, keyPageDn):
		l.move(l.cursor + screen)
	case key.Matches(msg, keyHome):
		l.rewind()
	case key.Matches(msg, keyEnd):
		l.move(len(l.shown) - 1)
	case key.Matches(msg, keyReverse):
		l.reversed = !l.reversed
		l.arrange()
	case key.Matches(msg, keyFilter):
		m.filtering = true
		return m.input.Focus()
	case key.Matches(msg, keyBack):
		m.input.Reset()
		m.setFilter()
	case key.Matches(msg, keyEnter):
		if r := l.selected(); r != nil {
			m.details = newDetails(r)
			m.page = detailsPage
			m.pager.GotoTop()
			return m.next()
		}
	}
	for _, o := range orders {
		if key.Matches(msg, o.key) {
			l.reversed = l.by == o.by && !l.reversed
			l.by = o.by
			l.arrange()
		}
	}
	return nil
}

// typed is for the line that the filter is typed in.
func (m *model) typed(msg tea.Msg) tea.Cmd {
	if press, ok := msg.(tea.KeyPressMsg); ok {
		switch press.String() {
		case "enter", "up", "down":
			m.filtering = false
			m.input.Blur()
			return nil
		case "esc":
			m.filtering = false
			m.input.Blur()
			m.input.Reset()
			m.setFilter()
			return nil
		}
	}
	var cmd tea.Cmd
	m.input, cmd = m.input.Update(msg)
	m.setFilter()
	return cmd
}

func (m *model) setFilter() {
	if m.list.filter != m.input.Value() {
		m.list.filter = m.input.Value()
		m.list.arrange()
	}
}
