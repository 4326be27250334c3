// A camera's picture, asked for about once a second while somebody looks, and its zones over it. While a zone is
// chosen the picture stands still, and the corners of the zone can be dragged, or moved with the arrow keys.
const STEP = 0.005;

export default {
  template: `<div class="tw-live">
    <div v-if="editable" class="tw-tools">
      <button v-for="(zone, at) in zones" :key="at" type="button" class="tw-chip" :aria-pressed="String(at === chosen)" @click="choose(at)">{{ zone.id }}</button>
      <button type="button" class="tw-btn" data-do="new_zone" @click="add">{{ texts.new_zone }}</button>
    </div>
    <div class="tw-live-frame" ref="frame" @pointermove="drag" @pointerup="drop" @pointerleave="drop">
      <img v-if="src" :src="src" alt="" draggable="false">
      <div v-else class="tw-missing" role="status">{{ why || texts.live_wait }}</div>
      <svg viewBox="0 0 1 1" preserveAspectRatio="none" @click="insert">
        <polygon v-for="(zone, at) in zones" :key="at" :points="zone.points.map((p) => p.join(',')).join(' ')" class="tw-zone" :class="{ 'tw-zone-on': at === chosen }"></polygon>
      </svg>
      <template v-if="chosen >= 0">
        <button v-for="(point, at) in zones[chosen].points" :key="at" type="button" class="tw-corner"
          :style="{ left: 100 * point[0] + '%', top: 100 * point[1] + '%' }" :aria-label="texts.corner + ' ' + (at + 1)"
          @pointerdown.prevent="grab(at, $event)" @keydown="nudge(at, $event)"></button>
      </template>
      <span v-if="src" class="tw-live-mark" :class="{ 'tw-live-on': chosen < 0 }">{{ chosen < 0 ? texts.live_now : texts.live_still }}</span>
    </div>
    <div v-if="chosen >= 0" class="tw-bar">
      <label class="tw-field">{{ texts.zone_id }}
        <input class="tw-input" :value="zones[chosen].id" :disabled="ruled.includes(zones[chosen].id)" maxlength="64" @input="rename($event.target.value)"></label>
      <button type="button" class="tw-btn" @click="corner">{{ texts.add_corner }}</button>
      <button type="button" class="tw-btn" :disabled="ruled.includes(zones[chosen].id)" @click="remove">{{ texts.remove_zone }}</button>
      <button type="button" class="tw-btn" @click="choose(-1)">{{ texts.live_again }}</button>
    </div></div>`,
  props: { url: String, texts: Object, initial: Array, ruled: Array, editable: Boolean },
  emits: ["draw"],
  data() {
    return { src: "", why: "", zones: JSON.parse(JSON.stringify(this.initial || [])), chosen: -1 };
  },
  mounted() {
    this.poll();
  },
  unmounted() {
    clearTimeout(this.timer);
    if (this.src) URL.revokeObjectURL(this.src);
  },
  methods: {
    async poll() {
      // nobody who looks elsewhere costs the box anything
      if (!document.hidden && (this.chosen < 0 || !this.src)) {
        try {
          const response = await fetch(this.url);
          if (response.status === 200) this.take(await response.blob());
          else if (response.status !== 202) this.why = response.status === 409 ? this.texts.box_away : this.texts.live_none;
        } catch {
          this.why = this.texts.live_none;
        }
      }
      this.timer = setTimeout(() => this.poll(), 1000);
    },
    take(blob) {
      if (this.src) URL.revokeObjectURL(this.src);
      this.src = URL.createObjectURL(blob);
    },
    choose(at) {
      this.chosen = at === this.chosen ? -1 : at;
    },
    add() {
      const taken = this.zones.map((zone) => zone.id);
      let number = this.zones.length + 1;
      while (taken.includes(`zone-${number}`)) number++;
      this.zones.push({ id: `zone-${number}`, points: [[0.35, 0.4], [0.65, 0.4], [0.65, 0.7], [0.35, 0.7]] });
      this.chosen = this.zones.length - 1;
      this.tell();
    },
    remove() {
      this.zones.splice(this.chosen, 1);
      this.chosen = -1;
      this.tell();
    },
    rename(id) {
      this.zones[this.chosen].id = id.trim();
      this.tell();
    },
    corner() {
      const points = this.zones[this.chosen].points;
      const length = (at) => Math.hypot(points[at][0] - points[(at + 1) % points.length][0], points[at][1] - points[(at + 1) % points.length][1]);
      const at = points.map((_p, i) => i).reduce((best, i) => (length(i) > length(best) ? i : best), 0);
      const next = points[(at + 1) % points.length];
      points.splice(at + 1, 0, [(points[at][0] + next[0]) / 2, (points[at][1] + next[1]) / 2]);
      this.tell();
    },
    insert(event) {
      // a new corner goes into the nearest side
      if (this.chosen < 0) return;
      const points = this.zones[this.chosen].points, here = this.at(event);
      const far = (at) => {
        const a = points[at], b = points[(at + 1) % points.length];
        const dx = b[0] - a[0], dy = b[1] - a[1], length = dx * dx + dy * dy || 1;
        const t = Math.min(1, Math.max(0, ((here[0] - a[0]) * dx + (here[1] - a[1]) * dy) / length));
        return Math.hypot(here[0] - a[0] - t * dx, here[1] - a[1] - t * dy);
      };
      const at = points.map((_p, i) => i).reduce((best, i) => (far(i) < far(best) ? i : best), 0);
      points.splice(at + 1, 0, here);
      this.tell();
    },
    grab(at, event) {
      this.held = at;
      event.target.focus();
    },
    drag(event) {
      if (this.held === undefined || this.chosen < 0) return;
      this.zones[this.chosen].points[this.held] = this.at(event);
    },
    drop() {
      if (this.held === undefined) return;
      this.held = undefined;
      this.tell();
    },
    nudge(at, event) {
      const moves = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
      const points = this.zones[this.chosen].points, move = moves[event.key];
      if (move) points[at] = [this.clip(points[at][0] + move[0]), this.clip(points[at][1] + move[1])];
      else if ((event.key === "Delete" || event.key === "Backspace") && points.length > 3) points.splice(at, 1);
      else return;
      event.preventDefault();
      this.tell();
    },
    at(event) {
      const box = this.$refs.frame.getBoundingClientRect();
      return [this.clip((event.clientX - box.left) / box.width), this.clip((event.clientY - box.top) / box.height)];
    },
    clip: (value) => Math.round(1e4 * Math.min(1, Math.max(0, value))) / 1e4,
    tell() {
      this.$emit("draw", this.zones);
    },
  },
};
