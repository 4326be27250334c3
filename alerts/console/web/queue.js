// The live list of incidents. The server sends rows once and then only what changed; order, ages and
// the keyboard are handled here, so that a key press costs the server nothing.
export default {
  template: `
    <div class="tw-queue" role="listbox" tabindex="0" :aria-label="texts.queue"
         :aria-activedescendant="selected ? 'tw-row-' + selected : null">
      <a v-for="row in ordered" :key="row.id" :id="'tw-row-' + row.id" role="option" class="tw-row"
         :class="['tw-sev-' + row.severity, {'tw-selected': row.id === selected, 'tw-new': fresh.has(row.id)}]"
         :aria-selected="row.id === selected" :href="base + '/incidents/' + row.id" tabindex="-1"
         @mousedown="selected = row.id" :data-incident="row.id">
        <span class="tw-row-bar" aria-hidden="true"></span>
        <span class="tw-row-main">
          <span class="tw-row-top">
            <span class="tw-row-kind">{{ texts.kinds[row.kind] }}</span>
            <span class="tw-state" :class="'tw-state-' + row.state">{{ texts.states[row.state] }}</span>
            <span v-if="row.ended" class="tw-note">{{ texts.ended }}</span>
            <span v-if="row.historical" class="tw-note">{{ texts.historical }}</span>
          </span>
          <span class="tw-row-sub">
            <span class="tw-row-camera">{{ row.camera }}</span>
            <span v-if="row.zone" class="tw-row-zone">{{ row.zone }}</span>
            <span v-if="row.count > 1">{{ row.count }} {{ texts.alerts }}</span>
          </span>
        </span>
        <span class="tw-row-when">
          <span class="tw-row-age">{{ age(row.started) }}</span>
          <time class="tw-row-time">{{ clock(row.at) }}</time>
        </span>
        <span class="tw-row-id">#{{ row.id }}</span>
      </a>
      <div v-if="!ordered.length" class="tw-empty">{{ texts.empty }}</div>
      <button v-if="total > ordered.length" class="tw-more" @click="$emit('more')">
        {{ texts.more }} ({{ ordered.length }} / {{ total }})
      </button>
    </div>`,
  props: { initial: Object, texts: Object, base: String, now: Number },
  data() {
    return { rows: {}, total: 0, sort: "severity", selected: null, fresh: new Set(), tick: Date.now(), skew: 0 };
  },
  computed: {
    ordered() {
      const newest = (a, b) => b.started - a.started || b.id - a.id;
      const worst = (a, b) => a.severity - b.severity || newest(a, b);
      return Object.values(this.rows).sort(this.sort === "newest" ? newest : worst);
    },
  },
  created() {
    this.skew = this.now - Date.now(); // ages count on the server's clock, whatever the browser's says
    this.replace(this.initial);
    this.selected = Number(sessionStorage.getItem("tw-selected")) || null;
  },
  mounted() {
    window.tw = window.tw || {};
    window.tw.queue = this;
    this.timer = setInterval(() => (this.tick = Date.now()), 5000);
    document.addEventListener("keydown", this.onKey);
    this.$nextTick(() => this.reveal());
  },
  unmounted() {
    clearInterval(this.timer);
    document.removeEventListener("keydown", this.onKey);
  },
  watch: {
    selected(id) {
      if (id) sessionStorage.setItem("tw-selected", id);
      this.$nextTick(() => this.reveal());
    },
    ordered(rows) {
      // the incident page walks on with "n" through the list as the operator saw it
      sessionStorage.setItem("tw-order", JSON.stringify(rows.slice(0, 200).map((row) => row.id)));
    },
  },
  methods: {
    replace(state) {
      this.rows = Object.fromEntries(state.rows.map((row) => [row.id, row]));
      this.total = state.total;
      this.sort = state.sort;
    },
    apply(delta) {
      for (const id of delta.drop) delete this.rows[id];
      for (const row of delta.put) {
        if (!(row.id in this.rows)) this.mark(row.id);
        this.rows[row.id] = row;
      }
      this.total = delta.total;
      window.tw.counts?.(delta.counts);
    },
    mark(id) {
      this.fresh.add(id);
      setTimeout(() => this.fresh.delete(id), 6000);
    },
    age(started) {
      const seconds = Math.max(0, Math.floor((this.tick + this.skew - started) / 1000));
      if (seconds < 60) return this.texts.age_s.replace("%", seconds);
      if (seconds < 3600) return this.texts.age_min.replace("%", Math.floor(seconds / 60));
      if (seconds < 86400) return this.texts.age_h.replace("%", Math.floor(seconds / 3600));
      return this.texts.age_d.replace("%", Math.floor(seconds / 86400));
    },
    clock(at) {
      return at.slice(0, 10) === this.texts.today ? at.slice(11) : at.slice(5, 16);
    },
    reveal() {
      document.getElementById("tw-row-" + this.selected)?.scrollIntoView({ block: "nearest" });
    },
    move(by) {
      const ids = this.ordered.map((row) => row.id);
      if (!ids.length) return;
      const at = ids.indexOf(this.selected);
      this.$el.focus({ preventScroll: true }); // so that Enter is the list's, not that of the last button
      this.selected = ids[at < 0 ? 0 : Math.min(ids.length - 1, Math.max(0, at + by))];
    },
    onKey(event) {
      if (window.tw.typing(event) || window.tw.dialog()) return;
      const steps = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
      if (event.key in steps) this.move(steps[event.key]);
      else if (event.key === "Enter" && this.selected && !event.target.closest?.("button, input"))
        document.getElementById("tw-row-" + this.selected)?.click();
      else return;
      event.preventDefault();
    },
  },
};
