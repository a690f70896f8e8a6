package top

import (
	"context"
	"fmt"
	"time"

	"charm.land/bubbles/v2/textinput"
	"charm.land/bubbles/v2/viewport"
	tea "charm.land/bubbletea/v2"

	"github.com/logwatch/logwatch/internal/api"
)

const (
	clockEvery = time.Second // ages are shown in seconds
	// patience is how long an answer may take before it is reported missing.
	patience = 3 * time.Second
	// minPause is the minimum time between two requests when a key brings one forward.
	minPause = time.Second
)

// page is what is shown.
type page int

const (
	listPage page = iota
	detailsPage
	helpPage
)

// Messages.
type (
	clock  struct{}
	due    struct{ turn int } // the next request is due
	answer struct {
		query  query
		status api.Status
		err    error
		at     time.Time
	}
)

// query is a request's.
type query struct {
	names  api.Names
	detail bool
}

// model is the whole state; Bubble Tea calls its methods in one goroutine.
type model struct {
	options Options
	jobs    jobs
	glyphs  glyphs
	style   styles

	width, height int
	now           time.Time
	page          page
	behind        page // what help came from
	filtering     bool // the filter is being typed
	input         textinput.Model
	pager         viewport.Model // of details and help

	node    api.Node
	list    list
	details details

	turn                int  // of due: those of earlier turns are void
	requesting          bool // an answer is pending
	requested, answered time.Time
	last                query     // the last one
	good                time.Time // time of the last answer without an error; zero: none
	took                time.Duration
	err                 error // of the last answer
	fatal               error // ends Run

	head, foot []string // lines above and below what is shown
}

func newModel(ctx context.Context, o Options) *model {
	if o.now == nil {
		o.now = time.Now
	}
	m := &model{options: o, jobs: jobs{ctx: ctx}, glyphs: newGlyphs(o.Unicode), style: newStyles(), width: 80, height: 24, now: o.now(), list: list{by: byRate}}
	m.input = newInput()
	m.pager = viewport.New()
	return m
}

// newInput is the line that the filter is typed in.
func newInput() textinput.Model {
	in := textinput.New()
	in.Prompt = "/"
	in.CharLimit = 200
	in.KeyMap.Paste.SetEnabled(false) // it would run programs that read the clipboard
	s := in.Styles()
	s.Cursor.Blink = false
	s.Focused, s.Blurred = textinput.StyleState{}, textinput.StyleState{}
	in.SetStyles(s)
	return in
}

func (m *model) Init() tea.Cmd {
	return tea.Batch(m.request(), m.jobs.after(clockEvery, clock{}))
}

func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m.now = m.options.now()
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = max(1, msg.Width), max(1, msg.Height)
	case clock:
		cmd = m.jobs.after(clockEvery, clock{})
	case due:
		if msg.turn == m.turn && !m.requesting {
			cmd = m.request()
		}
	case answer:
		cmd = m.receive(msg)
	case broken:
		panic(fmt.Sprintf("%v\n\n%s", msg.value, msg.stack))
	case tea.KeyPressMsg:
		cmd = m.key(msg)
	case tea.PasteMsg:
		if m.filtering {
			cmd = m.typed(msg)
		}
	}
	m.arrange()
	return m, cmd
}

// query is the next one: in details, only about their container.
func (m *model) query() query {
	if m.inDetails() {
		return query{m.details.key.Names, true}
	}
	return query{m.options.Which, false}
}

func (m *model) inDetails() bool {
	return m.page == detailsPage || m.page == helpPage && m.behind == detailsPage
}

// request sends a request now. The next one follows its answer.
func (m *model) request() tea.Cmd {
	m.requesting, m.requested, m.last = true, m.options.now(), m.query()
	w, source, now := m.last, m.options.Source, m.options.now
	return m.jobs.do(func(ctx context.Context) tea.Msg {
		s, err := source.Status(ctx, w.names, w.detail)
		if ctx.Err() != nil {
			return nil
		}
		return answer{w, s, err, now()}
	})
}

// next schedules the next request in place of the scheduled one.
func (m *model) next() tea.Cmd {
	if m.requesting {
		return nil // its answer comes here
	}
	m.turn++
	return m.jobs.after(m.delay(), due{m.turn})
}

// delay is the time until the next request.
func (m *model) delay() time.Duration {
	pause := m.options.Interval
	if m.query() != m.last {
		pause = min(pause, minPause)
	}
	at := m.requested.Add(pause)
	if earliest := m.answered.Add(m.took); at.Before(earliest) {
		at = earliest
	}
	return at.Sub(m.options.now())
}

func (m *model) receive(a answer) tea.Cmd {
	m.requesting, m.answered, m.took, m.err = false, a.at, a.at.Sub(m.requested), a.err
	switch {
	case a.err != nil && m.good.IsZero():
		m.fatal = a.err
		return tea.Quit
	case a.err != nil:
		return m.next()
	}
	m.good = a.at
	m.node = a.status.Node
	if a.query.detail {
		m.details.update(a.status.Containers, a.at, &m.list)
	} else {
		m.list.update(a.status.Containers, a.at, m.glyphs)
	}
	return m.next()
}

// silent reports whether an answer is missing.
func (m *model) silent() bool {
	return m.err != nil || m.requesting && m.now.Sub(m.requested) > max(patience, 2*m.took)
}
