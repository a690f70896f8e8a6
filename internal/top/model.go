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
	// soonest is the least time between two questions when a key brings one
	// forward.
	soonest = time.Second
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
	due    struct{ turn int } // the time has come to ask
	answer struct {
		want   want
		status api.Status
		err    error
		at     time.Time
	}
)

// want is a question.
type want struct {
	names  api.Names
	detail bool
}

// model is the whole state; Bubble Tea calls its methods in one goroutine.
type model struct {
	options Options
	jobs    jobs
	look    look
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

	turn            int  // of due: those of earlier turns are void
	asking          bool // an answer is under way
	asked, answered time.Time
	last            want      // the last question
	good            time.Time // time of the last answer without an error; zero: none
	took            time.Duration
	err             error // of the last answer
	fatal           error // ends Run

	head, foot []string // lines above and below what is shown
}

func newModel(ctx context.Context, o Options) *model {
	if o.now == nil {
		o.now = time.Now
	}
	m := &model{options: o, jobs: jobs{ctx: ctx}, look: newLook(o.Unicode), style: newStyles(), width: 80, height: 24, now: o.now(), list: list{by: byRate}}
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
	return tea.Batch(m.ask(), m.jobs.after(clockEvery, clock{}))
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
		if msg.turn == m.turn && !m.asking {
			cmd = m.ask()
		}
	case answer:
		cmd = m.take(msg)
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

// want is the next question: in details, only about their container.
func (m *model) want() want {
	if m.inDetails() {
		return want{m.details.key.Names, true}
	}
	return want{m.options.Which, false}
}

func (m *model) inDetails() bool {
	return m.page == detailsPage || m.page == helpPage && m.behind == detailsPage
}

// ask asks now. The next question is asked when this one's answer is there.
func (m *model) ask() tea.Cmd {
	m.asking, m.asked, m.last = true, m.options.now(), m.want()
	w, source, now := m.last, m.options.Source, m.options.now
	return m.jobs.do(func(ctx context.Context) tea.Msg {
		s, err := source.Status(ctx, w.names, w.detail)
		if ctx.Err() != nil {
			return nil
		}
		return answer{w, s, err, now()}
	})
}

// next schedules the next question in place of the scheduled one.
func (m *model) next() tea.Cmd {
	if m.asking {
		return nil // its answer comes here
	}
	m.turn++
	return m.jobs.after(m.rest(), due{m.turn})
}

// rest is the time until the next question.
func (m *model) rest() time.Duration {
	pause := m.options.Interval
	if m.want() != m.last {
		pause = min(pause, soonest)
	}
	at := m.asked.Add(pause)
	if rest := m.answered.Add(m.took); at.Before(rest) {
		at = rest
	}
	return at.Sub(m.options.now())
}

func (m *model) take(a answer) tea.Cmd {
	m.asking, m.answered, m.took, m.err = false, a.at, a.at.Sub(m.asked), a.err
	switch {
	case a.err != nil && m.good.IsZero():
		m.fatal = a.err
		return tea.Quit
	case a.err != nil:
		return m.next()
	}
	m.good = a.at
	m.node = a.status.Node
	if a.want.detail {
		m.details.take(a.status.Containers, a.at, &m.list)
	} else {
		m.list.take(a.status.Containers, a.at, m.look)
	}
	return m.next()
}

// silent reports whether an answer is missing.
func (m *model) silent() bool {
	return m.err != nil || m.asking && m.now.Sub(m.asked) > max(patience, 2*m.took)
}
