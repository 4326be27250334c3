// Pictures side by side with boxes and zones as an overlay: the pixels are clean, the drawing is data.
export default {
  template: `
    <section class="tw-evidence" :aria-label="texts.evidence">
      <div class="tw-tools">
        <button class="tw-toggle" data-key="b" :aria-pressed="boxes" @click="boxes = !boxes">{{ texts.boxes }}<kbd>b</kbd></button>
        <button class="tw-toggle" data-key="z" :aria-pressed="zones && !!shown.zones.length" :disabled="!shown.zones.length"
                :title="shown.zones.length ? '' : texts.no_zones" @click="zones = !zones">{{ texts.zones }}<kbd>z</kbd></button>
        <span class="tw-hint" v-if="shown.may_judge && anyBox">{{ texts.judge_hint }}</span>
      </div>
      <div class="tw-pictures">
        <figure v-for="(p, i) in shown.pictures" :key="p.key" class="tw-figure" :class="'tw-role-' + p.role">
          <div class="tw-frame" @click="open(i)">
            <template v-if="p.present">
              <img :src="base + p.url" :alt="p.name + ' ' + p.at" decoding="async">
              <component :is="'div'" class="tw-overlay">
                <svg viewBox="0 0 1 1" preserveAspectRatio="none" v-if="zones && p.overlay">
                  <polygon v-for="(zone, n) in shown.zones" :key="n" class="tw-zone" :points="points(zone)"/>
                </svg>
                <template v-if="boxes && p.overlay">
                  <button v-for="box in p.boxes" :key="box.index" class="tw-box" :style="place(box)" :class="mark(p, box)"
                          @click.stop="pick(p, box)" :aria-label="box.label">
                    <span class="tw-box-label">{{ box.label }} {{ box.confidence.toFixed(2) }}</span>
                  </button>
                </template>
              </component>
            </template>
            <div v-else class="tw-missing">{{ texts.not_here }}</div>
          </div>
          <figcaption><b>{{ p.name }}</b><time>{{ p.at }}</time></figcaption>
        </figure>
        <figure v-for="c in shown.clips" :key="c.key" class="tw-figure tw-role-clip">
          <div class="tw-frame">
            <video v-if="c.present" :src="base + c.url" controls muted loop playsinline preload="metadata" :poster="poster" class="tw-video"></video>
            <div v-else class="tw-missing">{{ texts.not_here }}</div>
          </div>
          <figcaption><b>{{ c.name }}</b><time>{{ c.at }}</time></figcaption>
        </figure>
        <div v-if="!shown.pictures.length && !shown.clips.length" class="tw-empty">{{ texts.no_evidence }}</div>
      </div>
      <div v-if="picked" class="tw-judge" role="dialog" :aria-label="texts.judge_box">
        <span><b>{{ picked.box.label }}</b> {{ picked.box.confidence.toFixed(2) }}</span>
        <button class="tw-btn" data-key="y" @click="judge('true')">{{ texts.box_true }}<kbd>y</kbd></button>
        <button class="tw-btn" data-key="w" @click="judge('false')">{{ texts.box_false }}<kbd>w</kbd></button>
        <button class="tw-btn" data-key="u" @click="judge('unsure')">{{ texts.box_unsure }}<kbd>u</kbd></button>
        <button class="tw-btn tw-quiet" @click="picked = null" :aria-label="texts.cancel">×</button>
      </div>
      <div v-if="large" class="tw-light" @click.self="light = null">
        <div class="tw-light-frame">
          <img :src="base + large.url" :alt="large.name">
          <div class="tw-overlay">
            <svg viewBox="0 0 1 1" preserveAspectRatio="none" v-if="zones && large.overlay">
              <polygon v-for="(zone, n) in shown.zones" :key="n" class="tw-zone" :points="points(zone)"/>
            </svg>
            <template v-if="boxes && large.overlay">
              <div v-for="box in large.boxes" :key="box.index" class="tw-box" :style="place(box)" :class="mark(large, box)">
                <span class="tw-box-label">{{ box.label }} {{ box.confidence.toFixed(2) }}</span>
              </div>
            </template>
          </div>
        </div>
        <div class="tw-light-bar">
          <b>{{ large.name }}</b><time>{{ large.at }}</time>
          <button class="tw-btn" data-key="ArrowLeft" @click="step(-1)">‹<kbd>←</kbd></button>
          <button class="tw-btn" data-key="ArrowRight" @click="step(1)">›<kbd>→</kbd></button>
          <button class="tw-btn" data-key="b" @click="boxes = !boxes">{{ texts.boxes }}<kbd>b</kbd></button>
          <button class="tw-btn" data-key="z" v-if="shown.zones.length" @click="zones = !zones">{{ texts.zones }}<kbd>z</kbd></button>
          <button class="tw-btn" data-key="Escape" @click="light = null">{{ texts.back }}<kbd>Esc</kbd></button>
        </div>
      </div>
    </section>`,
  props: { initial: Object, texts: Object, base: String },
  data() {
    return { shown: this.initial, boxes: true, zones: true, light: null, picked: null };
  },
  computed: {
    large() {
      return this.light === null ? null : this.shown.pictures[this.light] || null;
    },
    poster() {
      const picture = this.shown.pictures.find((p) => p.present);
      return picture ? this.base + picture.url : null;
    },
    anyBox() {
      return this.shown.pictures.some((p) => p.overlay && p.boxes.length);
    },
  },
  methods: {
    set(shown) {
      this.shown = shown;
    },
    place(box) {
      const pct = (x) => 100 * x + "%";
      return { left: pct(box.x1), top: pct(box.y1), width: pct(box.x2 - box.x1), height: pct(box.y2 - box.y1) };
    },
    points(zone) {
      return zone.map(([x, y]) => `${x},${y}`).join(" ");
    },
    mark(p, box) {
      const picked = this.picked && this.picked.p.key === p.key && this.picked.box.index === box.index;
      return [box.verdict ? "tw-box-" + box.verdict : "", { "tw-box-picked": picked, "tw-box-top": box.y1 < 0.06 }];
    },
    open(i) {
      if (this.shown.pictures[i].present) this.light = i;
    },
    step(by) {
      const n = this.shown.pictures.length;
      do this.light = (this.light + by + n) % n;
      while (!this.shown.pictures[this.light].present);
    },
    pick(p, box) {
      if (this.shown.may_judge) this.picked = { p, box };
    },
    judge(verdict) {
      const { p, box } = this.picked;
      this.picked = null;
      this.$emit("judge", { alert_id: this.shown.alert_id, phase_seq: p.boxes_seq, box_index: box.index, verdict });
    },
  },
};
