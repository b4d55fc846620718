// Public names of CLIP.
export {
  type ClipConfig,
  type ClipTextConfig,
  type ClipTowerConfig,
  type ClipVisionConfig,
  parseClipConfig,
} from "./config.ts";
export {
  type ClipForward,
  type ClipInputs,
  contrastiveLoss,
  encodeImage,
  encodeText,
  forward,
} from "./model.ts";
export { type ClipModel, clipModel, clipShapes, loadClip, randomClip } from "./weights.ts";
