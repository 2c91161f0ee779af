// Puts a NiiVue canvas in place of the plain picture of each viewer; without WebGL2 the picture stays.
(async () => {
  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const viewers = document.querySelectorAll(".viewer");
  const fail = (viewer, reason) => {
    viewer.dataset.state = "plain";
    viewer.querySelector("canvas")?.remove();
    viewer.querySelector(".hint").textContent = `Only one slice is shown: ${reason}.`;
  };
  if (!document.createElement("canvas").getContext("webgl2")) {
    viewers.forEach((viewer) => fail(viewer, "this browser has no WebGL2"));
    return;
  }
  const packed = new Blob([bytes(document.getElementById("niivue").textContent)]);
  const program = document.createElement("script");
  program.textContent = await new Response(packed.stream().pipeThrough(new DecompressionStream("gzip"))).text();
  document.head.append(program);

  for (const viewer of viewers) {
    try {
      await open(viewer);
      viewer.dataset.state = "ready";
    } catch (error) {
      fail(viewer, error.message || error);
    }
  }

  async function open(viewer) {
    const part = (name) => viewer.querySelector(`[name=${name}]`);
    const canvas = document.createElement("canvas");
    canvas.width = viewer.dataset.width;
    canvas.height = viewer.dataset.height;
    const view = new niivue.Niivue({
      backColor: [0, 0, 0, 1], crosshairWidth: 0, show3Dcrosshair: false, isOrientationTextVisible: false,
      isResizeCanvas: false, isNearestInterpolation: true, dragAndDropEnabled: false, loadingText: "", isRadiologicalConvention: false,
    });
    const frame = Object.assign(document.createElement("div"), { className: "frame" });  // NiiVue paints it black
    frame.append(canvas);
    viewer.querySelector("img").after(frame);
    await view.attachToCanvas(canvas);
    view.setSliceType(view.sliceTypeAxial);
    const numSlices = Number(part("slice").max) + 1;

    let shown = null;
    async function show() {
      const name = part("image").value, hasError = part("error").checked;
      const wanted = `${name} ${hasError}`;
      if (shown !== wanted) {
        while (view.volumes.length) view.removeVolume(view.volumes[0]);
        const [image, error] = ["image", "error"].map((kind) =>
          [...viewer.querySelectorAll(`[data-kind=${kind}]`)].find((item) => item.dataset.name === name));
        await view.loadFromArrayBuffer(bytes(image.textContent).buffer, "image.nii.gz");
        if (hasError && error) {
          await view.loadFromArrayBuffer(bytes(error.textContent).buffer, "error.nii.gz");
          view.setColormap(view.volumes[1].id, "inferno");
          Object.assign(view.volumes[1], { cal_min: 1, cal_max: 255 });
          view.setOpacity(1, 0.7);
        }
        shown = wanted;
      }
      Object.assign(view.volumes[0], { cal_min: Number(part("black").value), cal_max: Number(part("white").value) });
      view.updateGLVolume();
      view.scene.crosshairPos = [0.5, 0.5, (Number(part("slice").value) + 0.5) / numSlices];
      view.drawScene();
      part("number").textContent = part("slice").value;
      viewer.dataset.shown = `${shown} ${part("slice").value}`;
    }
    // One after the other, so that a slow change is not overtaken.
    let last = show();
    await last;
    viewer.querySelector("img").remove();
    for (const name of ["image", "error", "slice", "black", "white"]) {
      part(name).addEventListener("input", () => { last = last.then(show); });
    }
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      event.stopImmediatePropagation();  // NiiVue would zoom or move on its own
      part("slice").value = Number(part("slice").value) + Math.sign(event.deltaY);
      last = last.then(show);
    }, { capture: true, passive: false });
  }
})();
