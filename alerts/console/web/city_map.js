// The map: Leaflet on a plain ground with a grid of degrees; tiles only from the address that was configured.
// Incidents and cameras come clustered from the server, one answer for what is in view.
import { leaflet as L } from "nicegui-leaflet";
import { loadResource } from "../../static/utils/resources.js";

const SECTORS_FROM_ZOOM = 12; // where a sector of two kilometres is large enough to see
const GRID_STEPS = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];

export default {
  template: `<div class="tw-map-wrap"><div class="tw-map" ref="map"></div>
    <div v-if="nothing" class="tw-map-hint">{{ texts.map_empty }}</div></div>`,
  props: { resourcePath: String, texts: Object, base: String, tiles: String, attribution: String, fixed: Object, start: Object, query: String, areas: Array, pick: Boolean },
  emits: ["pick"],
  data: () => ({ nothing: false }),
  async mounted() {
    await this.$nextTick();
    await loadResource(window.path_prefix + `${this.resourcePath}/leaflet/leaflet.css`);
    const saved = JSON.parse(sessionStorage.getItem("tw-map") || "null");
    const view = this.fixed || saved || this.start || { center: [31, 112], zoom: 5 };
    this.map = L.map(this.$refs.map, {
      center: view.center, zoom: view.zoom, zoomControl: !this.fixed, attributionControl: !!this.tiles,
      preferCanvas: true, worldCopyJump: true, maxZoom: 19, minZoom: 3, keyboard: false,
    });
    if (this.tiles) L.tileLayer(this.tiles, { attribution: this.attribution, maxZoom: 19 }).addTo(this.map);
    L.control.scale({ imperial: false }).addTo(this.map);
    this.grid = L.layerGroup().addTo(this.map);
    this.outlines = L.layerGroup().addTo(this.map);
    this.sectors = L.layerGroup().addTo(this.map);
    this.layer = L.layerGroup().addTo(this.map);
    this.fitted = !!(this.fixed || saved || this.start);
    this.filter = this.query || "";
    this.map.on("moveend", () => this.moved());
    this.observer = new ResizeObserver(() => (this.map.invalidateSize(), this.moved()));
    this.observer.observe(this.$refs.map);
    window.tw = window.tw || {};
    if (!this.fixed && !this.pick) window.tw.map = this;
    if (this.pick) {
      this.map.on("click", (e) => (this.mark(e.latlng.lat, e.latlng.lng), this.$emit("pick", { lat: e.latlng.lat, lon: e.latlng.wrap().lng })));
    }
    this.moved();
    if (this.areas?.length) await this.loadAreas();
  },
  unmounted() {
    this.observer?.disconnect();
    clearTimeout(this.timer);
    this.map?.remove();
  },
  methods: {
    moved() {
      if (!this.map.getSize().y) return;
      this.drawGrid();
      this.nameAreas();
      if (this.pick) return;
      if (!this.fixed) {
        const center = this.map.getCenter();
        if (this.fitted)
          sessionStorage.setItem("tw-map", JSON.stringify({ center: [center.lat, center.lng], zoom: this.map.getZoom() }));
        this.load();
      } else this.drawFixed();
    },
    drawGrid() {
      this.grid.clearLayers();
      const css = getComputedStyle(this.$refs.map);
      const bounds = this.map.getBounds();
      // as many lines as their labels leave room for, five at most on a narrow map
      const lines = Math.min(5, this.map.getSize().x / 110);
      const step = GRID_STEPS.find((s) => (bounds.getEast() - bounds.getWest()) / s >= lines) || 0.001;
      const style = { color: css.getPropertyValue("--tw-grid"), weight: 1, interactive: false };
      const digits = Math.max(0, Math.ceil(-Math.log10(step)));
      const label = (at, text) =>
        L.marker(at, { interactive: false, keyboard: false, icon: L.divIcon({ className: "tw-grid-label", html: text, iconSize: [0, 0] }) }).addTo(this.grid);
      for (let lon = Math.ceil(bounds.getWest() / step) * step; lon < bounds.getEast(); lon += step) {
        L.polyline([[bounds.getSouth(), lon], [bounds.getNorth(), lon]], style).addTo(this.grid);
        label([bounds.getNorth(), lon], lon.toFixed(digits) + "°");
      }
      for (let lat = Math.ceil(bounds.getSouth() / step) * step; lat < bounds.getNorth(); lat += step) {
        L.polyline([[lat, bounds.getWest()], [lat, bounds.getEast()]], style).addTo(this.grid);
        label([lat, bounds.getWest()], lat.toFixed(digits) + "°");
      }
    },
    async loadAreas() {
      // largest first, so that the small ones lie on top
      const answers = await Promise.all(
        this.areas.map((level) => fetch(`${this.base}/api/v1/areas?level=${level}`).then((r) => (r.ok ? r.json() : { features: [] })).catch(() => ({ features: [] }))),
      );
      if (!this.$refs.map) return;
      this.shapes = answers.map((answer, at) => L.geoJSON(answer, { interactive: false, style: { color: this.colour("--tw-area"), weight: [2, 1.6, 1, 0.6][at] ?? 1, fill: false } }));
      this.shapes.forEach((shape) => shape.addTo(this.outlines));
      this.names = L.layerGroup().addTo(this.map);
      const all = this.shapes.reduce((box, shape) => box.extend(shape.getBounds()), L.latLngBounds([]));
      if (all.isValid() && (this.pick || !this.fitted)) this.map.fitBounds(all, { padding: [20, 20], animate: false });
      this.nameAreas();
    },
    nameAreas() {
      // the smallest first: a name stands where its area is wide enough for it, and none lies over another
      if (!this.names) return;
      this.names.clearLayers();
      const view = this.map.getBounds(), size = this.map.getSize(), taken = [];
      for (const shape of [...this.shapes].reverse())
        shape.eachLayer((area) => {
          const box = area.getBounds();
          if (!view.intersects(box)) return;
          const name = area.feature.properties[this.texts.language === "en" ? "en" : "zh"];
          const half = (name.length * (/[\u4e00-\u9fff]/.test(name) ? 12 : 7)) / 2 + 4;
          const at = this.map.latLngToContainerPoint(box.getCenter());
          const wide = this.map.latLngToContainerPoint(box.getNorthEast()).x - this.map.latLngToContainerPoint(box.getSouthWest()).x;
          if (wide < 2 * half || wide > 1.5 * size.x) return;
          if (taken.some((other) => Math.abs(other.x - at.x) < other.half + half && Math.abs(other.y - at.y) < 18)) return;
          taken.push({ x: at.x, y: at.y, half });
          const icon = L.divIcon({ className: "tw-area-name", html: this.plain(name).outerHTML, iconSize: [0, 0] });
          L.marker(box.getCenter(), { icon, interactive: false, keyboard: false }).addTo(this.names);
        });
    },
    mark(lat, lon) {
      this.layer.clearLayers();
      L.marker([lat, lon], { icon: L.divIcon({ className: "tw-pin tw-picked", html: "", iconSize: [16, 16] }), keyboard: false }).addTo(this.layer);
    },
    near(lat, lon) {
      this.mark(lat, lon);
      this.map.setView([lat, lon], Math.max(15, this.map.getZoom()), { animate: false });
    },
    show(lat, lon) {
      this.mark(lat, lon);
      if (!this.map.getBounds().contains([lat, lon])) this.map.panTo([lat, lon], { animate: false });
    },
    colour(name) {
      return getComputedStyle(this.$refs.map).getPropertyValue(name).trim();
    },
    async load() {
      const size = this.map.getSize();
      if (!size.x || !size.y) return; // folded away on a phone; the resize that unfolds it asks
      const b = this.map.getBounds();
      const box = [b.getWest(), b.getSouth(), b.getEast(), b.getNorth()].map((x) => x.toFixed(4)).join(",");
      this.asked = box + this.map.getZoom() + this.filter;
      const asked = this.asked;
      const url = `${this.base}/console/map?bbox=${box}&zoom=${this.map.getZoom()}&${this.filter}`;
      let answer;
      try {
        const response = await fetch(url);
        if (!response.ok) return;
        answer = await response.json();
      } catch {
        return; // the connection is away; NiceGUI says so and the next change asks again
      }
      if (asked !== this.asked || !this.$refs.map) return;
      this.nothing = !answer.bounds;
      if (!this.fitted && answer.bounds) {
        this.fitted = true;
        const [west, south, east, north] = answer.bounds;
        this.map.fitBounds([[south, west], [north, east]], { padding: [40, 40], maxZoom: 15, animate: false });
        return;
      }
      this.draw(answer);
      await this.drawSectors(box, asked);
    },
    async drawSectors(box, asked) {
      let found = [];
      if (this.map.getZoom() >= SECTORS_FROM_ZOOM) {
        try {
          const response = await fetch(`${this.base}/console/sectors?bbox=${box}&zoom=${this.map.getZoom()}`);
          if (response.ok) found = await response.json();
        } catch {
          return; // the connection is away; the next move asks again
        }
        if (asked !== this.asked || !this.$refs.map) return;
      }
      this.sectors.clearLayers();
      const colour = this.colour("--tw-area");
      for (const sector of found) {
        const cos = Math.cos((sector.lat * Math.PI) / 180);
        const points = [[sector.lat, sector.lon]];
        for (let i = 0; i <= 16; i++) {
          const bearing = ((sector.azimuth_deg + sector.hfov_deg * (i / 16 - 0.5)) * Math.PI) / 180; // clockwise from north
          points.push([
            sector.lat + (sector.range_m * Math.cos(bearing)) / 111320,
            sector.lon + (sector.range_m * Math.sin(bearing)) / (111320 * cos),
          ]);
        }
        L.polygon(points, { color: colour, weight: 1, fillOpacity: 0.1, smoothFactor: 0, interactive: false }).addTo(this.sectors);
      }
    },
    refresh(wait = 2000) {
      // at most one question in so many ms, however much happens; what waits for less takes the other along
      const due = performance.now() + wait;
      if (this.timer && this.due <= due) return;
      clearTimeout(this.timer);
      this.due = due;
      this.timer = setTimeout(() => { this.timer = null; this.load(); }, wait);
    },
    setFilter(query) {
      this.filter = query;
      this.load();
    },
    draw(answer) {
      this.layer.clearLayers();
      for (const camera of answer.cameras) {
        // a number stands below its place, where no incident covers it
        const wide = camera.n > 1 ? 12 + 7 * String(camera.n).length : 14;
        const icon = L.divIcon({
          className: `tw-pin tw-cam tw-cam-${camera.state}` + (camera.n > 1 ? " tw-cams-n" : ""),
          html: camera.n > 1 ? String(camera.n) : "", iconSize: [wide, 14], iconAnchor: camera.n > 1 ? [wide / 2, -18] : [7, 7],
        });
        L.marker([camera.lat, camera.lon], { icon, keyboard: false }).bindTooltip(this.plain(camera.title)).addTo(this.layer)
          .on("click", () => {
            if (camera.n > 1) this.map.setView([camera.lat, camera.lon], Math.min(19, this.map.getZoom() + 2));
            else window.location.href = `${this.base}/cameras/${encodeURIComponent(camera.edge)}/${encodeURIComponent(camera.camera)}`;
          });
      }
      for (const spot of answer.incidents) {
        const size = spot.n > 1 ? 26 + Math.min(14, Math.round(Math.log2(spot.n) * 3)) : 18;
        const icon = L.divIcon({ className: `tw-pin tw-spot tw-sev-${spot.severity}`, html: spot.n > 1 ? String(spot.n) : "", iconSize: [size, size] });
        const marker = L.marker([spot.lat, spot.lon], { icon, keyboard: false, zIndexOffset: 1000 - spot.severity * 100 }).addTo(this.layer);
        if (spot.n === 1) {
          marker.bindTooltip(this.plain(`${this.texts.kinds[spot.kind]} · ${spot.title} · #${spot.id}`));
          marker.on("click", () => (window.location.href = `${this.base}/incidents/${spot.id}`));
          if (spot.ellipse) this.ellipse(spot);
        } else marker.on("click", () => this.map.setView([spot.lat, spot.lon], Math.min(19, this.map.getZoom() + 2)));
      }
    },
    plain(text) {
      // Leaflet takes tooltips as HTML; names are text
      const span = document.createElement("span");
      span.textContent = text;
      return span;
    },
    ellipse(spot, style) {
      const [major, minor, turn] = spot.ellipse;
      const points = [];
      const cos = Math.cos((spot.lat * Math.PI) / 180);
      for (let i = 0; i < 48; i++) {
        const angle = (i * 2 * Math.PI) / 48;
        const along = major * Math.cos(angle), across = minor * Math.sin(angle);
        const bearing = (turn * Math.PI) / 180; // clockwise from north
        const north = along * Math.cos(bearing) - across * Math.sin(bearing);
        const east = along * Math.sin(bearing) + across * Math.cos(bearing);
        points.push([spot.lat + north / 111320, spot.lon + east / (111320 * cos)]);
      }
      const colour = this.colour(`--tw-sev-${spot.severity}`);
      L.polygon(points, { color: colour, weight: 1, fillOpacity: 0.12, interactive: false, ...style }).addTo(this.layer);
    },
    drawFixed() {
      this.layer.clearLayers();
      const spot = this.fixed.spot;
      const icon = L.divIcon({ className: `tw-pin tw-spot tw-sev-${spot.severity}`, html: "", iconSize: [18, 18] });
      L.marker([spot.lat, spot.lon], { icon, keyboard: false, interactive: false }).addTo(this.layer);
      if (spot.ellipse) this.ellipse(spot);
      for (const other of this.fixed.others) {
        const dot = L.divIcon({ className: `tw-pin tw-spot tw-other tw-sev-${other.severity}`, html: "", iconSize: [11, 11] });
        L.marker([other.lat, other.lon], { icon: dot, keyboard: false }).bindTooltip(`#${other.id}`).addTo(this.layer)
          .on("click", () => (window.location.href = `${this.base}/incidents/${other.id}`));
      }
      for (const sight of this.fixed.sights) this.ellipse(sight, { dashArray: "4 4", fillOpacity: 0 });
    },
  },
};
