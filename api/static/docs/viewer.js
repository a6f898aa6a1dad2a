// Shows the description that this server serves. Nothing is asked of any other server, the validator's badge included.
"use strict";
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#viewer",
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  validatorUrl: null,
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
});
